//! Identities and cache keys, and the encoding that they are hashes of.
//!
//! Every identity is the BLAKE3 hash of a byte string written by [`KeyWriter`]. Two different sequences of writes
//! never give the same bytes, because each value says its type and its extent before its contents:
//!
//! ```text
//! key     = domain version value*
//! domain  = length:u64 bytes          what kind of thing is named, UTF-8
//! version = u8                        of the fields that follow, chosen by the domain's owner
//! value   = 01 u64                    a number
//!         | 02 length:u64 bytes       a byte string
//!         | 03 length:u64 bytes       text, UTF-8
//!         | 04 count:u64 value*       a list, followed by its items
//!         | 05                        an absent option
//!         | 06 value*                 a present option, followed by what it holds
//!         | 07 32 bytes               another identity
//!         | 08 u8                     a truth value, 0 or 1
//!         | 09 u32                    which variant of an enumeration follows
//! ```
//!
//! Numbers are little endian. A change of this table or of a domain's fields needs a new version byte; the golden
//! digests in the tests fail when either happens unnoticed.

use std::fmt;
use std::str::FromStr;

/// How many bytes an identity has.
const LENGTH: usize = 32;

/// How many bytes are gathered before they are hashed.
const PENDING: usize = 8 << 10;

/// Writes the fields of an identity; see the module's documentation for the encoding.
#[derive(Debug, Clone)]
pub struct KeyWriter {
    hasher: blake3::Hasher,
    /// What is not hashed yet: many small updates of the hash would cost more than the hash.
    pending: Vec<u8>,
}

impl KeyWriter {
    /// Begins an identity of the given kind, whose fields are those of the given version.
    pub fn new(domain: &str, version: u8) -> Self {
        let mut writer = Self {
            hasher: blake3::Hasher::new(),
            pending: Vec::new(),
        };
        writer.length(domain.len());
        writer.add(domain.as_bytes());
        writer.add(&[version]);
        writer
    }

    /// Writes a number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.add(&[1]);
        self.add(&value.to_le_bytes());
        self
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.add(&[2]);
        self.length(value.len());
        self.add(value);
        self
    }

    /// Writes text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.add(&[3]);
        self.length(value.len());
        self.add(value.as_bytes());
        self
    }

    /// Writes a list: how many items it has, then each of them by `write`.
    pub fn list<I>(&mut self, items: I, mut write: impl FnMut(&mut Self, I::Item)) -> &mut Self
    where
        I: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        let items = items.into_iter();
        self.add(&[4]);
        self.length(items.len());
        for item in items {
            write(self, item);
        }
        self
    }

    /// Writes whether there is a value, and the value by `write` if there is.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => {
                self.add(&[5]);
            }
            Some(value) => {
                self.add(&[6]);
                write(self, value);
            }
        }
        self
    }

    /// Writes another identity.
    pub fn identity(&mut self, value: &[u8; LENGTH]) -> &mut Self {
        self.add(&[7]);
        self.add(value);
        self
    }

    /// Writes a truth value.
    pub fn truth(&mut self, value: bool) -> &mut Self {
        self.add(&[8, u8::from(value)]);
        self
    }

    /// Writes which variant of an enumeration the following fields are of.
    pub fn variant(&mut self, ordinal: u32) -> &mut Self {
        self.add(&[9]);
        self.add(&ordinal.to_le_bytes());
        self
    }

    /// The hash of all that was written.
    pub fn finish(&self) -> [u8; LENGTH] {
        *self
            .hasher
            .clone()
            .update(&self.pending)
            .finalize()
            .as_bytes()
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > PENDING {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
        if bytes.len() > PENDING {
            self.hasher.update(bytes);
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn length(&mut self, length: usize) {
        self.add(&(length as u64).to_le_bytes());
    }
}

/// A text that is not an identity's 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key of 64 lowercase hexadecimal digits")]
pub struct KeyParseError {
    /// The start of the text that was given.
    text: String,
}

/// Reads 64 lowercase hexadecimal digits.
fn parse_hex(text: &str) -> Result<[u8; LENGTH], KeyParseError> {
    let lowercase = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    blake3::Hash::from_hex(text)
        .ok()
        .filter(|_| lowercase)
        .map(|hash| *hash.as_bytes())
        .ok_or_else(|| KeyParseError {
            text: text.chars().take(80).collect(),
        })
}

/// Defines a newtype over the bytes of an identity, written as 64 lowercase hexadecimal digits.
macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// The identity that has these bytes.
            pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; LENGTH] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = KeyParseError;

            fn from_str(text: &str) -> Result<Self, KeyParseError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

identity! {
    /// What an operation is, apart from its inputs: its arguments, and the bytes of any local files that it reads.
    OperationDigest
}
identity! {
    /// An operation and all that leads to it. Known before anything runs.
    DefinitionKey
}
identity! {
    /// An operation and the very content that it reads. Known once its inputs are.
    ContentKey
}
identity! {
    /// The content that an operation reads from its inputs.
    ContentDigest
}

impl OperationDigest {
    /// The identity of what was written.
    pub fn of(writer: &KeyWriter) -> Self {
        Self(writer.finish())
    }
}

impl ContentDigest {
    /// The identity of what was written.
    pub fn of(writer: &KeyWriter) -> Self {
        Self(writer.finish())
    }
}

impl DefinitionKey {
    /// The key of an operation on inputs that have these keys, in the order of the inputs.
    pub fn new(operation: &OperationDigest, inputs: &[Self]) -> Self {
        let mut writer = KeyWriter::new("rbuild definition", 1);
        writer.identity(&operation.0).list(inputs, |writer, input| {
            writer.identity(&input.0);
        });
        Self(writer.finish())
    }
}

impl ContentKey {
    /// The key of an operation that reads this content.
    pub fn new(operation: &OperationDigest, content: &ContentDigest) -> Self {
        let mut writer = KeyWriter::new("rbuild content", 1);
        writer.identity(&operation.0).identity(&content.0);
        Self(writer.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn writer() -> KeyWriter {
        KeyWriter::new("test", 1)
    }

    fn text(writer: &mut KeyWriter, item: &str) {
        writer.text(item);
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let mut written = writer();
        written
            .number(5)
            .bytes(b"ab")
            .text("c")
            .list(["d"], text)
            .option(None::<u64>, |_, _| ())
            .option(Some(6), |writer, value| {
                writer.number(value);
            })
            .identity(&[7; LENGTH])
            .truth(true)
            .variant(9);
        let mut expected = Vec::new();
        expected.extend(b"\x04\0\0\0\0\0\0\0test\x01");
        expected.extend(b"\x01\x05\0\0\0\0\0\0\0");
        expected.extend(b"\x02\x02\0\0\0\0\0\0\0ab");
        expected.extend(b"\x03\x01\0\0\0\0\0\0\0c");
        expected.extend(b"\x04\x01\0\0\0\0\0\0\0\x03\x01\0\0\0\0\0\0\0d");
        expected.extend(b"\x05\x06\x01\x06\0\0\0\0\0\0\0\x07");
        expected.extend([7; LENGTH]);
        expected.extend(b"\x08\x01\x09\x09\0\0\0");
        assert_eq!(&written.finish(), blake3::hash(&expected).as_bytes());
    }

    #[test]
    fn golden_digests() {
        let operation = OperationDigest::of(writer().text("make"));
        let base = DefinitionKey::new(&OperationDigest::of(writer().text("base")), &[]);
        let content = ContentDigest::of(writer().bytes(b"files"));
        let cases = [
            (
                operation.to_string(),
                "d53e389a667f1cb089480bf2d1a39102119fdf3f6c2fae49fe400ebcc73f30cc",
            ),
            (
                base.to_string(),
                "56157293ddf8a9298103e947862b2d0a3748406ae03cc200acc4380b13bb58b0",
            ),
            (
                DefinitionKey::new(&operation, &[base, base]).to_string(),
                "9685f49a0e10d5b9a50a82457636ed60dbe048a45fb9c215e65d211c2fd9f880",
            ),
            (
                content.to_string(),
                "a1fda83fc6feb974285c592e6bcab647cb2e98cb869071ba94e94e8eea42e179",
            ),
            (
                ContentKey::new(&operation, &content).to_string(),
                "96ea0250f7391c315be10cbf12b4bfbeefd0c728cb58b45887455aa534eda604",
            ),
        ];
        for (number, (key, golden)) in cases.into_iter().enumerate() {
            assert_eq!(key, golden, "case {number}");
        }
    }

    #[test]
    fn writes_that_join_to_the_same_text_differ() {
        let keys: BTreeSet<_> = [
            writer().text("ab").text("c").finish(),
            writer().text("a").text("bc").finish(),
            writer().text("abc").finish(),
            writer().bytes(b"abc").finish(),
            KeyWriter::new("testa", 1).text("bc").finish(),
            KeyWriter::new("test", 2).text("abc").finish(),
            writer().list(["a"], text).text("b").finish(),
            writer().list(["a", "b"], text).finish(),
        ]
        .into();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn the_order_of_inputs_is_part_of_the_key() {
        let [a, b] = ["a", "b"].map(|name| OperationDigest::of(writer().text(name)));
        let [left, right] = [DefinitionKey::new(&a, &[]), DefinitionKey::new(&b, &[])];
        assert_ne!(
            DefinitionKey::new(&a, &[left, right]),
            DefinitionKey::new(&a, &[right, left])
        );
        assert_ne!(
            DefinitionKey::new(&a, &[left]),
            DefinitionKey::new(&a, &[left, left])
        );
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = DefinitionKey::from_bytes([0xab; LENGTH]);
        assert_eq!(key.to_string(), "ab".repeat(LENGTH));
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(format!("{key:?}"), format!("DefinitionKey({key})"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "ab",
            &"AB".repeat(LENGTH),
            &"zz".repeat(LENGTH),
            &"é".repeat(LENGTH),
            &"ab".repeat(33),
        ] {
            assert!(text.parse::<ContentKey>().is_err(), "{text}");
        }
    }
}
