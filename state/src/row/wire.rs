//! The small change of stored bytes: varints (LEB128, at most ten bytes) and a reader that never
//! reads past its end. Rows and trails are written with it. What is *not* here: any meaning.

use super::Error;

/// Appends `value`, seven bits a byte, low ones first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes `value` takes up as a varint.
pub(crate) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends `bytes` behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a>(pub(crate) &'a [u8]);

impl<'a> Wire<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Error::Damaged { what })?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.take(1, what)?[0])
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Damaged { what })
    }

    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        let len = self.varint(what)?;
        self.take(usize::try_from(len).map_err(|_| Error::Damaged { what })?, what)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        Ok(self.take(N, what)?.try_into().expect("take gave exactly N bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_at_every_length_and_never_overflow() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                let mut wire = Wire(&out);
                assert_eq!(wire.varint("value").unwrap(), value);
                assert!(wire.is_empty());
                assert!(Wire(&out[..out.len() - 1]).varint("value").is_err());
            }
        }
        let eleven = [0xff_u8; 11];
        assert!(Wire(&eleven).varint("value").is_err());
        let mut too_big = [0xff_u8; 10];
        too_big[9] = 2;
        assert!(Wire(&too_big).varint("value").is_err());
    }
}
