//! Bytes, eight at a time.
//!
//! A component looks at the time that it has left in each step of a loop, which takes longer than what most steps do
//! with a byte. So what is looked for in a text is looked for in eight bytes at once.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = EACH << 7;

/// Whether something is true of some eight bytes of a text; the last ones are filled up.
pub fn any(text: &[u8], filler: u8, is: impl Fn(u64) -> bool) -> bool {
    let (words, rest) = text.as_chunks();
    for word in words {
        if is(u64::from_le_bytes(*word)) {
            return true;
        }
    }
    let mut last = [filler; 8];
    last.iter_mut().zip(rest).for_each(|(byte, of_rest)| *byte = *of_rest);
    is(u64::from_le_bytes(last))
}

/// Where a byte stands first.
pub fn find(text: &[u8], byte: u8) -> Option<usize> {
    let place = |among: &[u8]| among.iter().position(|other| *other == byte);
    let (words, rest) = text.as_chunks::<8>();
    let mut before = 0;
    for word in words {
        if has(u64::from_le_bytes(*word), byte) {
            return place(word).map(|at| before + at);
        }
        before += 8;
    }
    place(rest).map(|at| before + at)
}

/// Whether one of eight bytes is less than this, which is at most 0x80.
#[must_use]
pub fn has_below(word: u64, than: u8) -> bool {
    word.wrapping_sub(EACH * u64::from(than)) & !word & HIGH != 0
}

/// Whether one of eight bytes is this.
#[must_use]
pub fn has(word: u64, byte: u8) -> bool {
    has_below(word ^ (EACH * u64::from(byte)), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_found_in_eight_bytes_is_among_them(bytes: [u8; 8], byte: u8, than in 0..=0x80_u8) {
            let word = u64::from_le_bytes(bytes);
            proptest::prop_assert_eq!(has(word, byte), bytes.contains(&byte));
            proptest::prop_assert_eq!(has_below(word, than), bytes.iter().any(|byte| *byte < than));
        }

        #[test]
        fn a_byte_is_found_where_it_stands_first(text in proptest::collection::vec(0..20_u8, 0..40), byte in 0..20_u8) {
            proptest::prop_assert_eq!(find(&text, byte), text.iter().position(|other| *other == byte));
            proptest::prop_assert_eq!(any(&text, 99, |word| has(word, byte)), text.contains(&byte));
        }
    }
}
