//! Requests on their way out: their pieces become texts and what the host inserts.

use super::generated::nuncio::dispatch::types as wit;
use crate::request::{Atom, Escape, Head, KeyForm, Method, Request, Segment};

/// A request in the form of the contract.
///
/// # Errors
///
/// Where its head is not whole.
pub(super) fn out(request: Request, timeout: u64) -> Result<wit::Request, String> {
    Ok(wit::Request {
        method: match request.method {
            Method::Get => wit::Method::Get,
            Method::Post => wit::Method::Post,
            Method::Put => wit::Method::Put,
            Method::Patch => wit::Method::Patch,
        },
        url: passage(request.url),
        query: request.query.into_iter().map(|(name, value)| wit::Parameter { name, value }).collect(),
        headers: request.head.count(),
        head: head(request.head)?,
        body: passage(request.body),
        timeout,
    })
}

fn head(head: Head) -> Result<wit::Passage, String> {
    let (text, insertions) = head.whole()?;
    let mut passage = wit::Passage { text, insertions: Vec::with_capacity(insertions.len()) };
    for (at, segment) in insertions {
        insert(&mut passage, at, segment);
    }
    Ok(passage)
}

fn passage(segments: Vec<Segment>) -> wit::Passage {
    let mut passage = wit::Passage { text: String::new(), insertions: Vec::new() };
    segments.into_iter().for_each(|segment| push(&mut passage, segment));
    passage
}

fn push(passage: &mut wit::Passage, segment: Segment) {
    match segment {
        Segment::Text(text) if passage.text.is_empty() => passage.text = text,
        segment => insert(passage, passage.text.len(), segment),
    }
}

/// Inserts a segment there; text only at the end.
fn insert(passage: &mut wit::Passage, at: usize, segment: Segment) {
    let what = match segment {
        Segment::Text(text) => return passage.text.push_str(&text),
        Segment::Secret { name, escape } => {
            let escape = match escape {
                Escape::Verbatim => wit::Escape::Verbatim,
                Escape::Percent => wit::Escape::Percent,
                Escape::Json => wit::Escape::Json,
            };
            wit::Hidden::Secret(wit::Secret { name, escape })
        }
        Segment::Base64(all) => wit::Hidden::Base64(atoms(all)),
        Segment::HmacSha256(hmac) => wit::Hidden::HmacSha256(wit::Hmac {
            key: atoms(hmac.key),
            key_form: match hmac.key_form {
                KeyForm::Text => wit::KeyForm::Text,
                KeyForm::Base64 => wit::KeyForm::Base64,
                KeyForm::PrefixedBase64 => wit::KeyForm::PrefixedBase64,
            },
            message: atoms(hmac.message),
            hex: hmac.hex,
        }),
        Segment::Ed25519(signature) => wit::Hidden::Ed25519(wit::Ed25519 {
            key: atoms(signature.key),
            message: atoms(signature.message),
        }),
    };
    passage.insertions.push(wit::Insertion { at: super::number_out(at), what });
}

fn atoms(atoms: Vec<Atom>) -> Vec<wit::Atom> {
    let atom = |atom| match atom {
        Atom::Text(text) => wit::Atom::Text(text),
        Atom::Secret(name) => wit::Atom::Secret(name),
        Atom::RequestBody => wit::Atom::RequestBody,
    };
    atoms.into_iter().map(atom).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Segment {
        Segment::Secret { name: "phone/token".into(), escape: Escape::Verbatim }
    }

    #[test]
    fn what_only_the_host_knows_has_its_place_in_the_text() {
        let request = Request::post(vec![token(), "/ä/".into(), token(), token()])
            .header("a", vec!["é ".into(), token(), ".".into()])
            .header("b", vec![]);
        let wit::Request { url, head, headers, body, .. } = out(request, 7).unwrap();
        let places = |passage: &wit::Passage| {
            passage.insertions.iter().map(|insertion| insertion.at).collect::<Vec<_>>()
        };
        assert_eq!((url.text.as_str(), places(&url)), ("/ä/", vec![0, 4, 4]));
        assert_eq!((head.text.as_str(), places(&head)), ("a: é .\nb: \n", vec![6]));
        assert_eq!((headers, body.text.as_str(), body.insertions.len()), (2, "", 0));
    }

    #[test]
    fn a_header_with_a_line_break_is_none() {
        for value in ["x\nhost: b", "x\r", "\0", "\u{7f}"] {
            let problem = out(Request::post(vec![]).header("a", vec![value.into()]), 7).unwrap_err();
            assert!(problem.contains("has a line break"), "{problem}");
        }
        assert!(out(Request::post(vec![]).header("a\n", vec![]), 7).is_err());
        assert!(out(Request::post(vec![]).header("a", vec!["b\tc".into()]), 7).is_ok());
    }
}
