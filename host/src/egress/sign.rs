//! Signatures: HMAC-SHA256 and Ed25519.
//!
//! Decides which keys can sign, and computes what they sign. It refuses to know what the key and the message
//! were put together from. No refusal says anything about the key but what is wrong with its form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{PAD, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use hmac::{KeyInit as _, Mac as _};
use ring::signature::Ed25519KeyPair;

use super::assemble::{Refusal, invalid};
use crate::contract::KeyForm;

/// Reads keys as those do that verify: some services hand them out without the padding, and the last character
/// of a key that somebody typed may have bits that belong to no byte.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The lengths of an Ed25519 seed and of a public key (RFC 8032, section 5.1.5), in bytes.
const ED25519_KEY: usize = 32;

/// The HMAC-SHA256 (RFC 2104) of a message: in lower-case hexadecimal, or in base64.
pub(super) fn hmac_sha256(key: &str, form: KeyForm, message: &str, hex: bool) -> Result<String, Refusal> {
    let key = decode(key, form).ok_or_else(|| Refusal::Invalid("the key of an HMAC is no base64".into()))?;
    if key.is_empty() {
        return invalid("the key of an HMAC is empty, so that anybody could sign");
    }
    let Ok(mut mac) = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key) else {
        return invalid("the key of an HMAC does not fit");
    };
    mac.update(message.as_bytes());
    let tag = mac.finalize().into_bytes();
    Ok(match hex {
        true => tag.iter().map(|byte| format!("{byte:02x}")).collect(),
        false => STANDARD.encode(tag),
    })
}

/// The Ed25519 signature (RFC 8032, section 5.1) of a message, in base64.
pub(super) fn ed25519(key: &str, message: &str) -> Result<String, Refusal> {
    let Some(key) = decode(key, KeyForm::PrefixedBase64) else {
        return invalid("the private key of a signature is no base64");
    };
    let pair = match key.split_at_checked(ED25519_KEY) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
        Some((seed, public)) if public.len() == ED25519_KEY => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        }
        _ => {
            let problem = "the private key of a signature is neither a seed of 32 bytes nor a seed and its public \
                           key of 32 bytes";
            return invalid(problem);
        }
    };
    match pair {
        Ok(pair) => Ok(STANDARD.encode(pair.sign(message.as_bytes()))),
        Err(_) => {
            invalid("the private key of a signature and the public key beside it do not belong together")
        }
    }
}

fn decode(key: &str, form: KeyForm) -> Option<Vec<u8>> {
    let base64 = match form {
        KeyForm::Text => return Some(key.as_bytes().to_vec()),
        KeyForm::Base64 => key,
        KeyForm::PrefixedBase64 => key.split_once('_').map_or(key, |(_, rest)| rest),
    };
    KEY_BASE64.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[track_caller]
    fn assert_refused(signed: Result<String, Refusal>, problem: &str) {
        let refusal = signed.unwrap_err();
        assert!(matches!(&refusal, Refusal::Invalid(text) if text.contains(problem)), "{refusal}");
        assert!(!format!("{refusal} {refusal:?}").contains("canary"), "{refusal}");
    }

    /// Test cases 1, 2, 6 and 7; 3 and 4 sign what is not text, and 5 is about truncation.
    #[test]
    fn hmacs_are_those_of_rfc_4231() {
        let long_key = STANDARD.encode([0xaa; 131]);
        let long_data = "This is a test using a larger than block-size key and a larger than block-size data. \
                         The key needs to be hashed before being used by the HMAC algorithm.";
        for (key, data, expected) in [
            (
                &*STANDARD.encode([0x0b; 20]),
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                &STANDARD.encode("Jefe"),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long_key,
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (&long_key, long_data, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ] {
            assert_eq!(hmac_sha256(key, KeyForm::Base64, data, true).unwrap(), expected);
        }
        assert_eq!(
            hmac_sha256("Jefe", KeyForm::Text, "what do ya want for nothing?", true).unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    /// The vector that every library of standard-webhooks/standard-webhooks carries.
    #[test]
    fn hmacs_are_those_of_standard_webhooks() {
        let key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let sign = |key: &str, form| {
            let message = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
            hmac_sha256(key, form, message, false).unwrap()
        };
        let expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(key, KeyForm::Base64), expected);
        assert_eq!(sign(key, KeyForm::PrefixedBase64), expected);
        assert_eq!(sign(&format!("whsec_{key}"), KeyForm::PrefixedBase64), expected);
    }

    /// Section 7.1, tests 1 and 2: of the others the messages are no text.
    #[test]
    fn ed25519_signatures_are_those_of_rfc_8032() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd\
                 25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "r",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c3\
                 87b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let (seed, expected) = (bytes(seed), STANDARD.encode(bytes(signature)));
            let whole = [&seed[..], &bytes(public)].concat();
            for key in [STANDARD.encode(&seed), STANDARD.encode(&whole)] {
                assert_eq!(ed25519(&key, message).unwrap(), expected);
                assert_eq!(ed25519(&format!("whsk_{key}"), message).unwrap(), expected);
                assert_eq!(
                    ed25519(&format!("whsk_{}", key.trim_end_matches('=')), message).unwrap(),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_key_that_cannot_sign_is_refused_without_being_told() {
        for (key, form, problem) in [
            ("", KeyForm::Text, "empty"),
            ("", KeyForm::Base64, "empty"),
            ("whsec_", KeyForm::PrefixedBase64, "empty"),
            ("no base64: tk_canary", KeyForm::Base64, "no base64"),
            ("whsec_canary canary", KeyForm::PrefixedBase64, "no base64"),
            ("canary_canary_canary", KeyForm::PrefixedBase64, "no base64"),
        ] {
            assert_refused(hmac_sha256(key, form, "", true), problem);
        }
        let mismatched = STANDARD.encode([7; 64]);
        for (key, problem) in [
            ("", "neither"),
            ("whsk_", "neither"),
            ("whsk_canary!", "no base64"),
            ("whsk_canary00", "neither"),
            (&STANDARD.encode([7; 31]), "neither"),
            (&STANDARD.encode([7; 33]), "neither"),
            (&STANDARD.encode([7; 65]), "neither"),
            (&mismatched, "do not belong together"),
        ] {
            assert_refused(ed25519(key, ""), problem);
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_verified_by_the_public_key(seed: [u8; 32], message: String) {
            let public = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().public_key().as_ref().to_vec();
            let signature = STANDARD.decode(ed25519(&STANDARD.encode(seed), &message).unwrap()).unwrap();
            let key = UnparsedPublicKey::new(&ED25519, public);
            prop_assert!(key.verify(message.as_bytes(), &signature).is_ok());
            prop_assert!(key.verify(&[message.as_bytes(), b"."].concat(), &signature).is_err());
        }
    }
}
