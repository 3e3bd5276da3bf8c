use super::*;
use crate::notification::tests::notification;
use crate::notification::{Body, Level};
use crate::provider::tests::{body, open, request, target_of, targets_of, wrong_part};
use crate::provider::webhook::Webhook;

const JSON: &str = r#"{"version":"1.0","title":$title,"message":$message,"attachments":[],"type":$type}"#;
const FORM: &str = r#"{"version":"1.0","title":$title,"message":$message,"type":$type}"#;

/// What a target made of a URL sends.
fn sent(url: &str) -> String {
    let mut settings = target_of::<Webhook>(url);
    for name in ["url", "password"] {
        if settings.get(name).is_some() {
            settings[name] = json!({ "$secret": name });
        }
    }
    for name in ["left out", "headers"] {
        settings.as_object_mut().unwrap().remove(name);
    }
    let warning = notification(Level::Warn, "t \"q\"", Body::Text("b & <c>".into()));
    let request = request(&open::<Webhook>(settings), &warning);
    if request.query.is_empty() { body(&request) } else { format!("{:?}", request.query) }
}

fn check(url: &str, expected: &Value, defaults: &Value) {
    let mut all = defaults.clone();
    for (name, value) in expected.as_object().unwrap() {
        all[name] = value.clone();
    }
    assert_eq!(target_of::<Webhook>(url), all, "{url}");
}

#[test]
fn urls_of_both_dialects_are_read() {
    for (url, expected) in [
        ("json://host", json!({ "url": "http://host" })),
        ("json://host/", json!({ "url": "http://host/" })),
        ("jsons://host:8443/a/b", json!({ "url": "https://host:8443/a/b" })),
        ("jsons://host/a/b/?method=POST", json!({ "url": "https://host/a/b/" })),
        ("json://host//a///b", json!({ "url": "http://host/a/b" })),
        (
            "jsons://user:pass@host/a%20b/c%2Fd/é:x@y,z",
            json!({ "url": "https://host/a%20b/c%2Fd/%C3%A9:x@y%2Cz", "user": "user", "password": "pass" }),
        ),
        (
            "jsons://u%40x:p%3Aw%40d@host",
            json!({ "url": "https://host", "user": "u@x", "password": "p:w@d" }),
        ),
        (
            "jsons://host?+X-Api-Key=k%201&-p=a%20b&-q=1%262&+x-api-key=k+2",
            json!({ "url": "https://host?p=a+b&q=1%262", "headers": { "x-api-key": "k+2" } }),
        ),
        ("jsons://host/a?+X=a;-p=1", json!({ "url": "https://host/a?p=1", "headers": { "X": "a" } })),
        ("jsons://[::1]:8080/x", json!({ "url": "https://[::1]:8080/x" })),
        ("jsons://host/a#b", json!({ "url": "https://host/a" })),
        ("jsons://host/#a", json!({ "url": "https://host/%23a" })),
        (
            "jsons://host?method=put&format=text",
            json!({ "url": "https://host", "method": "PUT", "format": "plain" }),
        ),
        (
            "jsons://:pw@host?x=1",
            json!({ "url": "https://host", "left out": ["password: this kind of URL has no use for it", "?x: there is no such setting here"] }),
        ),
        (
            "jsons://host?verify=no",
            json!({ "url": "https://host", "left out": ["?verify: certificates are always verified; `tls` names your own authority"] }),
        ),
    ] {
        check(url, &expected, &json!({ "payload": JSON }));
    }
    let form = json!({ "payload": FORM, "mime_type": "application/x-www-form-urlencoded" });
    for (url, expected) in [
        ("form://host/a", json!({ "url": "http://host/a" })),
        (
            "forms://u:p@host:1/a?-x=1&+Y=z",
            json!({ "url": "https://host:1/a?x=1", "headers": { "Y": "z" }, "user": "u", "password": "p" }),
        ),
        ("forms://host?method=get", json!({ "url": "https://host", "method": "GET" })),
    ] {
        check(url, &expected, &form);
    }
    let text = json!({ "payload": "$message", "mime_type": "text/plain" });
    for (url, expected) in [
        ("generic://host", json!({ "url": "https://host" })),
        ("generic://host:8080/a/b/", json!({ "url": "https://host:8080/a/b/" })),
        ("generic://host/a?disabletls=yes", json!({ "url": "http://host/a" })),
        ("generic+https://host/a?b=c", json!({ "url": "https://host/a?b=c" })),
        ("generic+http://host:81/a", json!({ "url": "http://host:81/a" })),
        ("generic://host?z=1&a=x+y%20%26", json!({ "url": "https://host?a=x+y+%26&z=1" })),
        ("generic://host?__title=1&_method=2&_x=3", json!({ "url": "https://host?_x=3&method=2&title=1" })),
        (
            "generic://host?@acceptLanguage=tlh-Piqd&@X-API-Key=k",
            json!({ "url": "https://host", "headers": { "Accept-Language": "tlh-Piqd", "X-API-Key": "k" } }),
        ),
        (
            "generic://host?@Authorization=Bearer%20token123",
            json!({ "url": "https://host", "headers": { "Authorization": "Bearer token123" } }),
        ),
        (
            "generic://host?contenttype=text/markdown&method=patch",
            json!({ "url": "https://host", "method": "PATCH", "headers": { "Content-Type": "text/markdown" } }),
        ),
        ("generic://host?contenttype=text/plain", json!({ "url": "https://host" })),
        (
            "generic://ann:p%40ss@[::1]:99/x",
            json!({ "url": "https://[::1]:99/x", "user": "ann", "password": "p@ss" }),
        ),
        (
            "generic://host/a#b",
            json!({ "url": "https://host/a", "left out": ["fragment: this kind of URL has no use for it"] }),
        ),
        (
            "generic://host?$a=b&title=t",
            json!({ "url": "https://host", "left out": ["?$a: there is no such setting here", "?title: there is no such setting here"] }),
        ),
    ] {
        check(url, &expected, &text);
    }
    for (url, payload) in [
        ("generic://host?template=json", r#"{"title":$title,"message":$message}"#),
        ("generic://host?template=JSON&titleKey=t&messagekey=m", r#"{"t":$title,"m":$message}"#),
        (
            "generic://host?template=json&$projection=retroazimuthal&$x=$title",
            r#"{"title":$title,"message":$message,"projection":"retroazimuthal","x":"\u0024title"}"#,
        ),
        ("generic://host?template=json&$title=own", r#"{"title":"own","message":$message}"#),
        (
            "generic://host?template=json&contenttype=application/json&titlekey=message",
            r#"{"message":$message}"#,
        ),
    ] {
        assert_eq!(
            targets_of::<Webhook>(url, None),
            [json!({ "url": "https://host", "payload": payload })],
            "{url}"
        );
    }
}

#[test]
fn the_request_says_what_apprises_would() {
    for (url, sent_by_apprise) in [
        (
            "json://h",
            r#"{"version":"1.0","title":"t \"q\"","message":"b & <c>","attachments":[],"type":"warning"}"#,
        ),
        (
            "json://h?:message=text&:title=&:extra=more",
            r#"{"version":"1.0","attachments":[],"type":"warning","text":"b & <c>","extra":"more"}"#,
        ),
        (
            "json://h?:type=kind&:version=&:attachments=",
            r#"{"title":"t \"q\"","message":"b & <c>","kind":"warning"}"#,
        ),
        (
            "json://h?:message=title",
            r#"{"version":"1.0","title":"b & <c>","attachments":[],"type":"warning"}"#,
        ),
        (
            "json://h?:attachments=&:$x=$title&:k=a+b",
            r#"{"version":"1.0","title":"t \"q\"","message":"b & <c>","type":"warning","$x":"$title","k":"a+b"}"#,
        ),
    ] {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(&sent(url)), read(sent_by_apprise), "{url}");
    }
    for (url, sent_by_apprise) in [
        ("form://h", "version=1.0&title=t+%22q%22&message=b+%26+%3Cc%3E&type=warning"),
        (
            "forms://u:p@h/a?:message=text&:title=&x=1&:z=$id",
            "version=1.0&type=warning&text=b+%26+%3Cc%3E&z=%24id",
        ),
    ] {
        assert_eq!(sent(url), sent_by_apprise, "{url}");
    }
    let get = "forms://h?method=GET&-p=1&:message=p&:version=";
    assert_eq!(target_of::<Webhook>(get)["url"], "https://h?p=1");
    assert_eq!(sent(get), r#"[("title", "t \"q\""), ("type", "warning")]"#);
    for (url, notification) in [
        (
            "xml://h/a",
            "<Notification xmlns:xsi=\"https://raw.githubusercontent.com/caronc/apprise/master/apprise/assets/NotifyXML-1.1.xsd\"><Version>1.1</Version><Subject>t &quot;q&quot;</Subject><Message>b &amp; &lt;c&gt;</Message><MessageType>warning</MessageType>",
        ),
        (
            "xmls://h/a?:Message=msg&:Subject=&:my key=1<2",
            "<Notification><Version>1.1</Version><MessageType>warning</MessageType><msg>b &amp; &lt;c&gt;</msg><mykey>1&lt;2</mykey>",
        ),
        (
            "xmls://h/a?:message=$title",
            "<Notification><Version>1.1</Version><Subject>t &quot;q&quot;</Subject><Message>b &amp; &lt;c&gt;</Message><MessageType>warning</MessageType><message>&#36;title</message>",
        ),
    ] {
        let sent = sent(url);
        let body = sent.split_once("<soapenv:Body>").unwrap().1;
        assert_eq!(body, format!("{notification}</Notification></soapenv:Body></soapenv:Envelope>"), "{url}");
    }
}

#[test]
fn what_is_no_webhook_is_refused() {
    for (url, part) in [
        ("json://", "host"),
        ("jsons:///path", "host"),
        ("jsons://user@host", "password"),
        ("jsons://u%3Ax:p@host", "user"),
        ("jsons://host:0/", "port"),
        ("jsons://host:99999/", "port"),
        ("jsons://host:port/", "port"),
        ("jsons://ho%20st/", "host"),
        ("jsons://host?method=delete", "?method"),
        ("jsons://host?+X%20Y=1", "query"),
        ("jsons://host?+Content-Length=1", "query"),
        ("jsons://u:p@host?+authorization=x", "query"),
        ("xmls://host?:Message=a%20b", "query"),
        ("xmls://host?:1a=b", "query"),
        ("xmls://host?:%C3%A9=b", "query"),
        ("generic+ftp://host", "scheme"),
        ("generic://", "host"),
        ("generic://host?template=custom", "?template"),
        ("generic://host?disabletls=perhaps", "?disabletls"),
        ("generic://:pw@host", "user"),
        ("generic://host?@Host=x", "query"),
    ] {
        assert_eq!(wrong_part(url), part, "{url}");
    }
}
