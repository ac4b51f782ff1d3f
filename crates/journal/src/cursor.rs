//! Reading of untrusted bytes, field by field. Always: no read goes past the end, no length is believed before
//! the bytes it promises are there, so nothing panics and nothing is allocated on a liar's word.

/// The bytes are shorter than what they say they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short;

pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
}

macro_rules! number {
    ($name:ident, $type:ty) => {
        pub fn $name(&mut self) -> Result<$type, Short> {
            Ok(<$type>::from_le_bytes(self.array()?))
        }
    };
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes }
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// `count` items of at least `item_bytes` each are still to come: only then may room be made for them.
    pub fn expect_items(&self, count: u32, item_bytes: usize) -> Result<usize, Short> {
        let count = count as usize;
        if count.checked_mul(item_bytes).is_some_and(|bytes| bytes <= self.remaining()) {
            Ok(count)
        } else {
            Err(Short)
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    number!(u8, u8);
    number!(u16, u16);
    number!(u32, u32);
    number!(u64, u64);
    number!(u128, u128);
    number!(i16, i16);
    number!(i32, i32);
    number!(i64, i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4, 5]);
        assert_eq!(cursor.u32(), Ok(0x0403_0201));
        assert_eq!(cursor.u16(), Err(Short));
        assert_eq!(cursor.take(1), Ok(&[5][..]));
        assert_eq!(cursor.u8(), Err(Short));
    }

    #[test]
    fn a_count_is_believed_only_if_its_items_can_be_there() {
        let cursor = Cursor::new(&[0; 10]);
        assert_eq!(cursor.expect_items(5, 2), Ok(5));
        assert_eq!(cursor.expect_items(6, 2), Err(Short));
        assert_eq!(cursor.expect_items(u32::MAX, usize::MAX), Err(Short));
    }
}
