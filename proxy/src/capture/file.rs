//! The files of a capture: pcapng, one after the other where their size is bounded.

use super::order::{Record, Side};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nanoseconds, as a power of ten.
const RESOLUTION: u8 = 9;

/// Where a capture is written, and how much of it.
#[derive(Clone, Debug)]
pub struct CaptureFiles {
    /// The first file.
    pub path: PathBuf,
    /// The size after which another file is begun, in bytes; `None`: there is one file. The next
    /// ones have a number in front of their extension: `x.1.pcapng`, `x.2.pcapng` …
    pub size: Option<u64>,
    /// The most files that are kept; the oldest is removed.
    pub kept: u32,
    /// The most bytes of a packet that are written, headers included.
    pub snap: u32,
}

impl CaptureFiles {
    /// Returns the path of a file: number 0 is the first.
    pub fn path_of(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let extension = self.path.extension().unwrap_or_default().to_os_string();
        let mut name = self.path.file_stem().unwrap_or_default().to_os_string();
        name.push(format!(".{number}"));
        if !extension.is_empty() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }
}

/// The file that is being written.
pub(super) struct Writer {
    files: CaptureFiles,
    current: Option<PcapNgWriter<BufWriter<File>>>,
    number: u32,
    /// The bytes of the current file.
    written: u64,
    /// The records of each side in the current file.
    records: [u64; 2],
    /// The time since 1970 at which the run began.
    epoch: Duration,
    /// The time since 1970 of the last record.
    newest: Duration,
}

impl Writer {
    /// Begins with the first file, which is open already and empty.
    pub(super) fn begin(files: CaptureFiles, first: File, epoch: Duration) -> io::Result<Self> {
        let mut writer = Self {
            files,
            current: None,
            number: 0,
            written: 0,
            records: [0; 2],
            epoch,
            newest: epoch,
        };
        writer.head(first)?;
        Ok(writer)
    }

    /// Writes a record, in another file if this one has reached its size.
    pub(super) fn write(&mut self, record: &Record, lost: u64) -> io::Result<()> {
        if self.files.size.is_some_and(|size| self.written >= size) {
            self.finish(lost)?;
            self.number += 1;
            if let Some(old) = self.number.checked_sub(self.files.kept.max(1)) {
                remove(&self.files.path_of(old));
            }
            let path = self.files.path_of(self.number);
            let next = File::create(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            self.head(next)?;
        }
        let Some(writer) = &mut self.current else { return Ok(()) };
        let kept = record.bytes.len().min(self.files.snap as usize);
        let mut options = Vec::new();
        if !record.comment.is_empty() {
            options.push(EnhancedPacketOption::Comment(Cow::Borrowed(&record.comment)));
        }
        let since = record.at.since(jostle_common::time::Instant::START);
        self.newest = self.epoch + since;
        let block = EnhancedPacketBlock {
            interface_id: record.side.index() as u32,
            timestamp: self.newest,
            original_len: record.length,
            data: Cow::Borrowed(&record.bytes[..kept]),
            options,
        };
        self.written += writer.write_pcapng_block(block).map_err(as_io)? as u64;
        self.records[record.side.index()] += 1;
        Ok(())
    }

    /// Hands what was written to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), |writer| writer.get_mut().flush())
    }

    /// Ends the current file with its statistics.
    pub(super) fn finish(&mut self, lost: u64) -> io::Result<()> {
        let Some(mut writer) = self.current.take() else { return Ok(()) };
        for side in Side::BOTH {
            let mut options =
                vec![InterfaceStatisticsOption::IsbIfRecv(self.records[side.index()])];
            if side == Side::Client {
                let about = "packets that are missing on either side, since the run began";
                options.push(InterfaceStatisticsOption::IsbIfDrop(lost));
                options.push(InterfaceStatisticsOption::Comment(Cow::Borrowed(about)));
            }
            let block = InterfaceStatisticsBlock {
                interface_id: side.index() as u32,
                // pcap-file writes it as one number; it is two halves, the higher one first.
                timestamp: (self.newest.as_nanos() as u64).rotate_left(32),
                options,
            };
            writer.write_pcapng_block(block).map_err(as_io)?;
        }
        writer.get_mut().flush()
    }

    /// Begins a file.
    fn head(&mut self, file: File) -> io::Result<()> {
        let about = concat!("jostle ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(about))],
            ..SectionHeaderBlock::default()
        };
        let mut writer =
            PcapNgWriter::with_section_header(BufWriter::new(file), section).map_err(as_io)?;
        let sides = [
            ("client side", "between the clients and jostle, as packets come in and go out"),
            ("server side", "between jostle and the upstreams, as packets go out and come in"),
        ];
        for (name, description) in sides {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::RAW,
                snaplen: self.files.snap,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                    InterfaceDescriptionOption::IfDescription(Cow::Borrowed(description)),
                    InterfaceDescriptionOption::IfTsResol(RESOLUTION),
                ],
            };
            self.written = writer.write_pcapng_block(interface).map_err(as_io)? as u64;
        }
        // What reads along is to know what it is.
        writer.get_mut().flush()?;
        self.records = [0; 2];
        self.current = Some(writer);
        Ok(())
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        log::debug!("{}: {error}", path.display());
    }
}

fn as_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_their_number_in_front_of_the_extension() {
        let files = |path: &str| CaptureFiles { path: path.into(), size: None, kept: 1, snap: 1 };
        let all = [("/a/x.pcapng", "/a/x.3.pcapng"), ("x", "x.3"), ("a.b/x.y.z", "a.b/x.y.3.z")];
        for (path, third) in all {
            assert_eq!(files(path).path_of(0), Path::new(path));
            assert_eq!(files(path).path_of(3), Path::new(third));
        }
    }
}
