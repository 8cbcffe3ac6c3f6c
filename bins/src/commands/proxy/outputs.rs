//! The files that a run writes.

use super::ProxyArgs;
use super::output::Output;
use super::pcap::Pcap;

/// The files that a run writes. They keep what they held until the proxy has started.
pub(super) struct Outputs {
    pub(super) events: Option<Output>,
    pub(super) journal: Option<Output>,
    pub(super) summary: Option<Output>,
    pub(super) pcap: Option<Pcap>,
}

impl Outputs {
    /// Opens those that are asked for, all or none.
    pub(super) fn open(args: &ProxyArgs) -> anyhow::Result<Self> {
        let mut outputs = Self { events: None, journal: None, summary: None, pcap: None };
        let opened = (|| {
            outputs.events = args.events.as_deref().map(Output::open).transpose()?;
            outputs.pcap = args.pcap.open()?;
            outputs.journal = args.journal.as_deref().map(Output::open).transpose()?;
            outputs.summary = args.summary.as_deref().map(Output::open).transpose()?;
            anyhow::Ok(())
        })();
        if let Err(error) = opened {
            outputs.withdraw();
            return Err(error);
        }
        Ok(outputs)
    }

    /// Empties them, now that the proxy has started.
    pub(super) fn begin(&self) {
        let all = self.events.iter().chain(&self.journal).chain(&self.summary);
        all.for_each(Output::begin);
    }

    /// Leaves them as they were.
    pub(super) fn withdraw(self) {
        let pcap = self.pcap.map(|pcap| pcap.output);
        let all = self.events.into_iter().chain(self.journal).chain(self.summary).chain(pcap);
        all.for_each(Output::withdraw);
    }
}
