//! Keys whose bytes sort as the keys themselves do.

use haggle_base::{Did, Hash, OrderId, RecordId, Timestamp};

/// Longest encoded key in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// A key of a [`crate::Table`].
///
/// Encodings are self-delimiting, so tuples sort by their first part, then the next; integers
/// are big-endian; text and byte strings escape the zero byte and end with two of them, so the
/// encoding of a text without zero bytes starts with the text itself.
pub trait Key: Sized {
    /// Appends the encoding.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one key from the front of `input` and moves `input` past it.
    fn read(input: &mut &[u8]) -> Option<Self>;

    /// The encoding.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads a key that fills all of `bytes`.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = bytes;
        let key = Self::read(&mut input)?;
        input.is_empty().then_some(key)
    }
}

/// Takes `N` bytes from the front.
fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = input.split_first_chunk::<N>()?;
    *input = tail;
    Some(*head)
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        take::<N>(input)
    }
}

macro_rules! integer_key {
    ($($int:ty),*) => {$(
        impl Key for $int {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                take(input).map(Self::from_be_bytes)
            }
        }
    )*};
}
integer_key!(u8, u16, u32, u64, u128);

impl Key for () {
    fn write(&self, _out: &mut Vec<u8>) {}
    fn read(_input: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Key for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::read(input)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Key for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        for byte in self {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let mut key = Self::new();
        loop {
            match u8::read(input)? {
                0 => match u8::read(input)? {
                    0 => return Some(key),
                    0xff => key.push(0),
                    _ => return None,
                },
                byte => key.push(byte),
            }
        }
    }
}

impl Key for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::read(input)?).ok()
    }
}

macro_rules! tuple_key {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Key),+> Key for ($($part,)+) {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$index.write(out);)+
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(input)?,)+))
            }
        }
    };
}
tuple_key!(A 0, B 1);
tuple_key!(A 0, B 1, C 2);
tuple_key!(A 0, B 1, C 2, D 3);
tuple_key!(A 0, B 1, C 2, D 3, E 4);

impl Key for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_millis().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        u64::read(input).map(Self::from_millis)
    }
}

impl Key for Hash {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        take(input).map(Self::from_bytes)
    }
}

impl Key for RecordId {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        take(input).map(|bytes| Self::from(Hash::from_bytes(bytes)))
    }
}

impl Key for OrderId {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_bytes().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        take::<32>(input).map(|bytes| Self::new(bytes.into()))
    }
}

impl Key for Did {
    fn write(&self, out: &mut Vec<u8>) {
        self.public_key().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Self::from_public_key(take(input)?).ok()
    }
}
