//! CRC-32/ISO-HDLC, as zip and Ethernet have it.

/// The checksum that a blob ends with, of all bytes before it: CRC-32/ISO-HDLC.
#[cfg(not(target_os = "none"))]
pub fn crc32(bytes: &[u8]) -> u32 {
    static CRC: crc::Crc<u32, crc::Table<16>> =
        crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

/// The checksum that a blob ends with, of all bytes before it: CRC-32/ISO-HDLC.
#[cfg(target_os = "none")]
pub fn crc32(bytes: &[u8]) -> u32 {
    by_nibbles(bytes)
}

/// Half a byte at a time: a table of 64 bytes, where one of 1 kB would be faster and none four
/// to six times slower.
#[cfg(any(target_os = "none", test))]
#[cfg_attr(target_os = "none", inline(always))]
fn by_nibbles(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 16] = table();
    let mut crc = !0;
    for &byte in bytes {
        crc ^= u32::from(byte);
        crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
    }
    !crc
}

/// What four bits that leave the register do to it.
#[cfg(any(target_os = "none", test))]
const fn table() -> [u32; 16] {
    const REFLECTED_POLYNOMIAL: u32 = 0xEDB8_8320;
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut crc = nibble as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = (crc >> 1) ^ (REFLECTED_POLYNOMIAL * (crc & 1));
            bit += 1;
        }
        table[nibble] = crc;
        nibble += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn half_bytes_give_what_whole_ones_give() {
        let bytes: [u8; 4096] = core::array::from_fn(|at| (at * at * 31 + at / 7) as u8);
        for length in (0..70).chain([1000, 4095, 4096]) {
            assert_eq!(
                by_nibbles(&bytes[..length]),
                crc32(&bytes[..length]),
                "{length}"
            );
        }
    }
}
