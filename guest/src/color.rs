//! Colours: a name (`default` is the level's, and so no colour here), `#rrggbb` or an integer in; always six hex digits, or one integer, out.

use std::fmt;

/// A colour as 0xRRGGBB. No value has more than 24 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Color(u32);

impl Color {
    /// Blue, GoDoxy's `ColorInfo`.
    pub const BLUE: Self = Self(0x00_00ff);
    /// Green, GoDoxy's `ColorSuccess`.
    pub const GREEN: Self = Self(0x00_ff00);
    /// What the quiet levels show.
    pub const GREY: Self = Self(0x80_8080);
    /// Purple.
    pub const PURPLE: Self = Self(0x80_0080);
    /// Red, GoDoxy's `ColorError`.
    pub const RED: Self = Self(0xff_0000);
    /// Yellow.
    pub const YELLOW: Self = Self(0xff_c4_00);

    /// The colour of an integer; `None` where it has more than 24 bits.
    #[must_use]
    pub fn from_rgb(rgb: u32) -> Option<Self> {
        (rgb <= 0xff_ffff).then_some(Self(rgb))
    }

    /// Reads a name (red, green, blue, yellow, purple, in any case), `#rrggbb`, or an integer in
    /// decimal or as `0xrrggbb`.
    ///
    /// Returns `None` for everything else, `#rgb`, signs and integers of more than 24 bits among it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(hex) = text.strip_prefix('#').or_else(|| text.strip_prefix("0x")) {
            return (hex.len() == 6).then(|| digits(hex, 16)).flatten();
        }
        match text.as_str() {
            "grey" | "gray" => Some(Self::GREY),
            "red" => Some(Self::RED),
            "green" => Some(Self::GREEN),
            "blue" => Some(Self::BLUE),
            "yellow" => Some(Self::YELLOW),
            "purple" => Some(Self::PURPLE),
            decimal => digits(decimal, 10),
        }
    }

    /// The colour as an integer of 24 bits.
    #[must_use]
    pub fn rgb(self) -> u32 {
        self.0
    }
}

/// Digits only: `u32::from_str_radix` also takes a sign.
fn digits(text: &str, radix: u32) -> Option<Color> {
    let unsigned = text.chars().all(|c| c.is_digit(radix));
    unsigned.then(|| u32::from_str_radix(text, radix).ok()).flatten().and_then(Color::from_rgb)
}

/// `#rrggbb`, always six digits: GoDoxy writes `#ff00` for green, which is no colour.
impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

impl fmt::Debug for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_hex_and_integers_are_read() {
        for (text, rgb) in [
            ("red", 0xff0000),
            ("Green", 0x00ff00),
            ("blue", 0x0000ff),
            ("#00ff00", 0x00ff00),
            ("#0A0b0C", 0x0a0b0c),
            ("0x00ff00", 0x00ff00),
            ("65280", 0x00ff00),
            ("0", 0),
            (" purple ", 0x800080),
        ] {
            assert_eq!(Color::parse(text).map(Color::rgb), Some(rgb), "{text}");
        }
        assert!(Color::parse("yellow").is_some());
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "#", "#fff", "#1234567", "#gg0000", "-1", "+1", "16777216", "reddish", "0x", "1e3"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hex_has_six_digits_always() {
        assert_eq!(Color::GREEN.to_string(), "#00ff00");
        assert_eq!(Color::BLUE.to_string(), "#0000ff");
        assert_eq!(Color::parse("0").unwrap().to_string(), "#000000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(rgb in 0_u32..=0xff_ffff) {
            let color = Color::from_rgb(rgb).unwrap();
            prop_assert_eq!(Color::parse(&color.to_string()), Some(color));
            prop_assert_eq!(Color::parse(&rgb.to_string()), Some(color));
            prop_assert_eq!(color.to_string().len(), 7);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Color::parse(&text);
        }
    }
}
