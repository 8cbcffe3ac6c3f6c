//! `--pcap`: both sides of the box as a capture that Wireshark opens.

use super::output::{Output, is_stdout};
use anyhow::Context;
use clap::Args;
use jostle_common::units::ByteSize;
use jostle_console::exit::Usage;
use jostle_proxy::Sink;
use jostle_proxy::capture::{Capture, CaptureFiles};
use std::path::PathBuf;

/// The least size of a file that another follows.
const SIZE_LEAST: u64 = 64 << 10;

/// The options of a capture.
#[derive(Args, Clone, Debug)]
pub(super) struct PcapArgs {
    /// Capture both sides of the box as pcapng, with what became of each packet (more options:
    /// --help)
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    pcap: Option<PathBuf>,
    /// Begin another file when one has so many bytes: FILE.pcapng, FILE.1.pcapng …
    #[arg(
        long,
        value_name = "SIZE",
        requires = "pcap",
        hide_short_help = true,
        help_heading = "The run"
    )]
    pcap_size: Option<ByteSize>,
    /// Keep at most so many of these files, the newest
    #[arg(long, value_name = "COUNT", requires = "pcap_size", hide_short_help = true, default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..), help_heading = "The run")]
    pcap_files: u32,
    /// Write at most so many bytes of a packet, headers included
    #[arg(long, value_name = "BYTES", requires = "pcap", hide_short_help = true, default_value_t = 262_144,
        value_parser = clap::value_parser!(u32).range(40..=262_144), help_heading = "The run")]
    pcap_snap: u32,
}

/// The file of a capture that is about to begin. It keeps what it held until then.
pub(super) struct Pcap {
    pub(super) output: Output,
    files: CaptureFiles,
}

impl PcapArgs {
    /// Opens the file, if one is asked for.
    pub(super) fn open(&self) -> anyhow::Result<Option<Pcap>> {
        let Some(path) = &self.pcap else { return Ok(None) };
        if is_stdout(path) {
            return Err(Usage::error("--pcap -: a capture goes to a file; name one"));
        }
        if self.pcap_size.is_some_and(|size| size.bytes() < SIZE_LEAST) {
            let least = ByteSize::new(SIZE_LEAST);
            return Err(Usage::error(format!("--pcap-size: write {least} or more")));
        }
        let output = Output::open(path)?;
        let files = CaptureFiles {
            path: path.clone(),
            size: self.pcap_size.map(|size| size.bytes()),
            kept: self.pcap_files,
            snap: self.pcap_snap,
        };
        Ok(Some(Pcap { output, files }))
    }
}

impl Pcap {
    /// Starts the capture, and returns the sink that is to be told.
    pub(super) fn start(&self) -> anyhow::Result<(Capture, Box<dyn Sink>)> {
        let file = self.output.file().ok_or_else(|| {
            let path = self.files.path.display();
            Usage::error(format!("--pcap {path}: a capture goes to a file; name one"))
        })?;
        Capture::start(self.files.clone(), file.context("the capture")?).context("the capture")
    }
}
