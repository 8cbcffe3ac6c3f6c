//! Reading files whole, up to a size: a device or a pipe may never end.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// More than any profile or configuration needs.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Returns the file's bytes; an error when there are more than `most`.
///
/// # Errors
/// When the file cannot be read, or is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it is larger than {} MiB", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// Returns the text of a profile or a configuration.
///
/// # Errors
/// When the file cannot be read, is no text, or is larger than any such file.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path, TEXT_BYTES_MAX)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_refused() {
        let endless = Path::new("/dev/zero");
        if endless.exists() {
            assert_eq!(read_text(endless).unwrap_err().to_string(), "it is larger than 16 MiB");
        }
    }

    #[test]
    fn the_limit_itself_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read(file.path(), 5).unwrap(), b"12345");
        assert!(read(file.path(), 4).is_err());
        assert_eq!(read_text(file.path()).unwrap(), "12345");
        std::fs::write(file.path(), b"\xff\xfe").unwrap();
        assert_eq!(read_text(file.path()).unwrap_err().to_string(), "it is not text");
    }
}
