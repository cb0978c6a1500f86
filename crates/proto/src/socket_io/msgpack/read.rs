//! One MessagePack value after the other.

use rmp::Marker;

use crate::socket_io::DecodeError;

/// A value, or the beginning of an array or a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Less than 0.
    Negative(i64),
    Float(f64),
    /// Not yet known to be text.
    Text(&'a [u8]),
    Binary(&'a [u8]),
    Array(u32),
    Map(u32),
    Extension(Extension<'a>),
}

/// A value of a type that the application gives a number; those below 0 belong to the format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extension<'a> {
    pub(super) kind: i8,
    pub(super) data: &'a [u8],
    /// It was written in one of the forms of a fixed length. JavaScript's types differ in that.
    pub(super) is_fixed: bool,
}

/// Reads a message from its beginning. Nothing is allocated, whatever lengths the message claims.
pub(super) struct Reader<'a> {
    message: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, pos: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.pos == self.message.len()
    }

    /// The error that what was just read is malformed.
    pub(super) fn error(&self) -> DecodeError {
        DecodeError::InvalidMessagePack { offset: self.pos }
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let [byte] = self.array()?;
        Ok(match Marker::from_u8(byte) {
            Marker::Null => Token::Nil,
            Marker::False => Token::Bool(false),
            Marker::True => Token::Bool(true),
            Marker::FixPos(number) => Token::Unsigned(number.into()),
            Marker::U8 => Token::Unsigned(self.uint8()?.into()),
            Marker::U16 => Token::Unsigned(self.uint16()?.into()),
            Marker::U32 => Token::Unsigned(self.uint32()?.into()),
            Marker::U64 => Token::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::FixNeg(number) => signed(number.into()),
            Marker::I8 => signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => Token::Text(self.take(len.into())?),
            Marker::Str8 => Token::Text(self.uint8().and_then(|len| self.take(len.into()))?),
            Marker::Str16 => Token::Text(self.uint16().and_then(|len| self.take(len.into()))?),
            Marker::Str32 => Token::Text(self.uint32().and_then(|len| self.take(len))?),
            Marker::Bin8 => Token::Binary(self.uint8().and_then(|len| self.take(len.into()))?),
            Marker::Bin16 => Token::Binary(self.uint16().and_then(|len| self.take(len.into()))?),
            Marker::Bin32 => Token::Binary(self.uint32().and_then(|len| self.take(len))?),
            Marker::FixArray(len) => Token::Array(len.into()),
            Marker::Array16 => Token::Array(self.uint16()?.into()),
            Marker::Array32 => Token::Array(self.uint32()?),
            Marker::FixMap(len) => Token::Map(len.into()),
            Marker::Map16 => Token::Map(self.uint16()?.into()),
            Marker::Map32 => Token::Map(self.uint32()?),
            Marker::FixExt1 => self.extension(1, true)?,
            Marker::FixExt2 => self.extension(2, true)?,
            Marker::FixExt4 => self.extension(4, true)?,
            Marker::FixExt8 => self.extension(8, true)?,
            Marker::FixExt16 => self.extension(16, true)?,
            Marker::Ext8 => self.uint8().and_then(|len| self.extension(len.into(), false))?,
            Marker::Ext16 => self.uint16().and_then(|len| self.extension(len.into(), false))?,
            Marker::Ext32 => self.uint32().and_then(|len| self.extension(len, false))?,
            Marker::Reserved => return Err(self.error()),
        })
    }

    /// Passes over one value with all that is in it.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut left = 1_u64;
        while left > 0 {
            left = left - 1
                + match self.token()? {
                    Token::Array(len) => len.into(),
                    Token::Map(len) => 2 * u64::from(len),
                    _ => 0,
                };
        }
        Ok(())
    }

    fn extension(&mut self, len: u32, is_fixed: bool) -> Result<Token<'a>, DecodeError> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Token::Extension(Extension { kind, data: self.take(len)?, is_fixed }))
    }

    fn take(&mut self, len: u32) -> Result<&'a [u8], DecodeError> {
        let rest = &self.message[self.pos..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or_else(|| self.error())?;
        self.pos += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.message[self.pos..].first_chunk().ok_or_else(|| self.error())?;
        self.pos += N;
        Ok(*bytes)
    }

    fn uint8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    fn uint16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    fn uint32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }
}

fn signed(number: i64) -> Token<'static> {
    u64::try_from(number).map_or(Token::Negative(number), Token::Unsigned)
}
