//! The dialect of each service.

use super::{Blocks, Characters, CodeBlock, Dialect, Escape, Heading, Link, NO_ESCAPE, NO_MARK, Quote};

/// Text without any markup.
pub const PLAIN: Dialect = Dialect {
    is_commonmark: false,
    strong: NO_MARK,
    emphasis: NO_MARK,
    strike: NO_MARK,
    code: NO_MARK,
    code_block: CodeBlock::Text,
    link: Link::Text,
    heading: Heading::Strong,
    has_name_headings: false,
    quote: Quote::Lines("> "),
    bullet: "- ",
    blocks: Blocks::Lines,
    escape: NO_ESCAPE,
    joint: "",
    is_mark_of_line: false,
};

/// Plain text for services that may read it as HTML. Elsewhere they show it as it is, entities and all, so that
/// `<` and `&` are broken: a zero-width space behind `<` ends no tag (<https://html.spec.whatwg.org/#tag-open-state>).
pub const PLAIN_IN_HTML: Dialect =
    Dialect { escape: Escape { broken: Characters::of("<&"), ..NO_ESCAPE }, ..PLAIN };

/// CommonMark with GitHub's struck text, for services that show it.
pub const COMMONMARK: Dialect = Dialect {
    is_commonmark: true,
    strong: ("**", "**"),
    emphasis: ("*", "*"),
    strike: ("~~", "~~"),
    code: ("`", "`"),
    code_block: CodeBlock::Fence,
    link: Link::Brackets,
    heading: Heading::Hashes(6),
    has_name_headings: true,
    bullet: "* ",
    escape: Escape {
        backslashed: Characters::of(r"\`*_[]<~&"),
        first: Characters::of("#>+-=:|"),
        ..NO_ESCAPE
    },
    ..PLAIN
};

/// Datadog's markdown, <https://docs.datadoghq.com/api/latest/events/post-an-event/>, which markdown is not said.
/// `@` in front of a name notifies somebody and has no escape: a zero-width space behind it is not documented to help.
pub const DATADOG: Dialect =
    Dialect { escape: Escape { broken: Characters::of("@"), ..COMMONMARK.escape }, ..COMMONMARK };

/// Text for Datadog without its markdown, in which `@` notifies somebody all the same.
pub const DATADOG_PLAIN: Dialect =
    Dialect { escape: Escape { broken: Characters::of("@"), ..NO_ESCAPE }, ..PLAIN };

/// Discord's markdown, <https://support.discord.com/hc/articles/210298617>: headings of three levels, and a
/// backslash in front of a mark that is none.
pub const DISCORD: Dialect = Dialect {
    is_commonmark: false,
    code_block: CodeBlock::Backticks { has_language: true },
    heading: Heading::Hashes(3),
    has_name_headings: false,
    escape: Escape { backslashed: Characters::of(r"\`*_[]<|~"), first: Characters::of("#>+-"), ..NO_ESCAPE },
    ..COMMONMARK
};

/// Slack's mrkdwn, <https://docs.slack.dev/messaging/formatting-message-text>: `&`, `<` and `>` are escaped.
/// Its marks have no escape: a zero-width space behind them is not documented to help, and changes nothing
/// that is seen.
pub const SLACK: Dialect = Dialect {
    strong: ("*", "*"),
    emphasis: ("_", "_"),
    strike: ("~", "~"),
    code: ("`", "`"),
    code_block: CodeBlock::Backticks { has_language: false },
    link: Link::Angle,
    bullet: "• ",
    escape: Escape { entities: true, broken: Characters::of("*_~`"), ..NO_ESCAPE },
    joint: "\u{200b}",
    is_mark_of_line: true,
    ..PLAIN
};

/// Telegram's HTML, <https://core.telegram.org/bots/api#html-style>: tags in lines, and none for blocks but
/// quotations and code.
pub const TELEGRAM: Dialect = Dialect {
    strong: ("<b>", "</b>"),
    emphasis: ("<i>", "</i>"),
    strike: ("<s>", "</s>"),
    code: ("<code>", "</code>"),
    code_block: CodeBlock::Tag(("<pre>", "</pre>")),
    link: Link::Tag,
    quote: Quote::Tag(("<blockquote>", "</blockquote>")),
    bullet: "• ",
    escape: Escape { entities: true, ..NO_ESCAPE },
    ..PLAIN
};

/// Pushover's HTML, <https://pushover.net/api#html>: bold, italic and links.
pub const PUSHOVER: Dialect = Dialect {
    strike: NO_MARK,
    code: NO_MARK,
    code_block: CodeBlock::Text,
    quote: Quote::Lines("&gt; "),
    ..TELEGRAM
};

/// The Markdown of an Adaptive Card's TextBlock, as Teams shows it
/// (<https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>): bold, italic,
/// lists and links. That a backslash keeps a mark from being one is CommonMark's, of which it is called a subset.
pub const TEAMS: Dialect = Dialect {
    strong: ("**", "**"),
    emphasis: ("_", "_"),
    link: Link::AlwaysBrackets,
    escape: Escape { backslashed: Characters::of(r"\`*_[]"), first: Characters::of("#>+-"), ..NO_ESCAPE },
    joint: "\u{200b}",
    ..PLAIN
};

/// Mattermost's Markdown, <https://docs.mattermost.com/collaborate/format-messages.html>: CommonMark with mentions
/// and emoji, which have no escape. That a zero-width space behind `@` and `:` keeps text from being one is not
/// documented, but both have to be whole words.
pub const MATTERMOST: Dialect = Dialect {
    has_name_headings: false,
    escape: Escape { broken: Characters::of("@:"), ..COMMONMARK.escape },
    ..COMMONMARK
};

/// Rocket.Chat's own marks, as its `message-parser` reads them
/// (<https://github.com/RocketChat/Rocket.Chat/tree/develop/packages/message-parser>): they end with their line, and
/// none has an escape. That a zero-width space keeps text from being one is not documented.
pub const ROCKETCHAT: Dialect = Dialect {
    strong: ("*", "*"),
    emphasis: ("_", "_"),
    strike: ("~", "~"),
    code: ("`", "`"),
    code_block: CodeBlock::Backticks { has_language: true },
    link: Link::AlwaysBrackets,
    escape: Escape { first: Characters::of("#>-"), broken: Characters::of("*_~`[<@:"), ..NO_ESCAPE },
    joint: "\u{200b}",
    is_mark_of_line: true,
    ..PLAIN
};

/// Google Chat's markup, <https://developers.google.com/workspace/chat/format-messages>: Slack's marks, but nothing
/// is an entity, and an item begins with `-`. No mark has an escape: a zero-width space is not documented to help.
pub const GOOGLECHAT: Dialect = Dialect {
    bullet: "- ",
    escape: Escape { first: Characters::of("->"), broken: Characters::of("*_~`<"), ..NO_ESCAPE },
    ..SLACK
};

/// Webex' Markdown, <https://developer.webex.com/docs/basics>: CommonMark with mentions in angle brackets. That a
/// zero-width space behind `<` keeps text from being one is not documented.
pub const WEBEX: Dialect = Dialect {
    escape: Escape {
        backslashed: Characters::of(r"\`*_[]~&"),
        broken: Characters::of("<"),
        ..COMMONMARK.escape
    },
    ..COMMONMARK
};

/// Zulip's Markdown, <https://zulip.com/help/format-your-message-using-markdown>: its server reads no escapes
/// (`zerver/lib/markdown`), and `_` is no mark. That a zero-width space keeps text from being one is not documented.
pub const ZULIP: Dialect = Dialect {
    is_commonmark: false,
    link: Link::AlwaysBrackets,
    has_name_headings: false,
    escape: Escape { first: Characters::of("#>-+"), broken: Characters::of("*~`[<@:"), ..NO_ESCAPE },
    joint: "\u{200b}",
    ..COMMONMARK
};

/// HTML, of no more than Matrix allows
/// (<https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes>), for it and for mail.
pub const HTML: Dialect = Dialect {
    strong: ("<strong>", "</strong>"),
    emphasis: ("<em>", "</em>"),
    strike: ("<del>", "</del>"),
    code_block: CodeBlock::Tag(("<pre><code>", "</code></pre>")),
    heading: Heading::Tag,
    bullet: "",
    blocks: Blocks::Tags,
    ..TELEGRAM
};

/// Nextcloud Talk's Markdown, CommonMark with mentions, which have no escape: a zero-width space behind the `@` is
/// not documented to help.
pub const TALK: Dialect =
    Dialect { escape: Escape { broken: Characters::of("@"), ..COMMONMARK.escape }, ..COMMONMARK };

/// Synology Chat's text, of which nothing is documented but links
/// (<https://kb.synology.com/en-global/DSM/tutorial/How_to_configure_webhooks_and_slash_commands_in_Chat_Integration>).
/// They have no escape: a zero-width space behind a `<` is not documented to help.
pub const SYNOLOGY: Dialect =
    Dialect { link: Link::Angle, escape: Escape { broken: Characters::of("<"), ..NO_ESCAPE }, ..PLAIN };

/// What Feishu and Lark call lark_md, in the text of a card, which has no blocks
/// (<https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content/using-markdown-tags>):
/// a mark that is none is written by its number. Emoji (`:OK:`) stay emoji.
pub const LARK: Dialect = Dialect {
    strong: ("**", "**"),
    emphasis: ("*", "*"),
    strike: ("~~", "~~"),
    link: Link::AlwaysBrackets,
    quote: Quote::Lines("&#62; "),
    bullet: "• ",
    escape: Escape { numbered: Characters::of("\\`*_~[<>&"), ..NO_ESCAPE },
    ..PLAIN
};

/// DingTalk's markdown, <https://open.dingtalk.com/document/orgapp/custom-robot-access>: headings, quotations,
/// lists, links, bold and italic. An escape is not documented, nor that a zero-width space behind a mark helps.
pub const DINGTALK: Dialect = Dialect {
    strong: ("**", "**"),
    emphasis: ("*", "*"),
    link: Link::AlwaysBrackets,
    heading: Heading::Hashes(6),
    escape: Escape { broken: Characters::of("\\`*_~[<#&"), ..NO_ESCAPE },
    joint: "\u{200b}",
    ..PLAIN
};

/// WeCom's markdown, <https://developer.work.weixin.qq.com/document/path/91770>: headings, bold, links, code in a
/// line and quotations. An escape is not documented, nor that a zero-width space behind a mark helps.
pub const WECOM: Dialect = Dialect {
    strong: ("**", "**"),
    code: ("`", "`"),
    link: Link::AlwaysBrackets,
    heading: Heading::Hashes(6),
    bullet: "• ",
    escape: Escape { broken: Characters::of("\\`*[<#&"), ..NO_ESCAPE },
    ..PLAIN
};

/// Plain text of Feishu, Lark and WeCom, in which tags mention people: `<at …>`, `<@…>`. A zero-width space
/// behind the `<` is not documented to help.
pub const UNTAGGED: Dialect =
    Dialect { escape: Escape { broken: Characters::of("<"), ..NO_ESCAPE }, ..PLAIN };
