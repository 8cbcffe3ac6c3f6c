//! A trial of `messages`: made-up messages over one connection.

use super::crossing::{Crossed, cross};
use super::{Ended, LOOPBACK, Stage};
use crate::rows::Row;
use crate::trial::{Taken, Trial};
use anyhow::Context;
use jostle_console::stop::Stop;
use jostle_endpoints::messages::{
    Input, MessagesServer, MessagesServerSettings, MessagesSettings, send,
};
use jostle_endpoints::protocol::messages::SessionReport;
use std::io;

/// Sends the messages, and writes what came of them into the row.
///
/// # Errors
/// Faults of the machine.
pub(super) fn run(stage: &Stage<'_>, row: &mut Row) -> anyhow::Result<Ended> {
    let Stage { trial, interrupt, .. } = *stage;
    let server = MessagesServer::bind(
        LOOPBACK,
        MessagesServerSettings { idle: None, ..MessagesServerSettings::default() },
    )?;
    let crossed = cross(
        trial,
        server.address(),
        interrupt,
        |stop| serve(server, trial, stop),
        |route, stop| {
            let settings =
                MessagesSettings { server: route.into(), protocol: trial.messages_client() };
            send(&settings, Input::made(trial.messages()), stop, |_| {})
        },
    )?;
    let failure = crossed.failure(&crossed.client.ending);
    let Crossed { client, server, summary, .. } = crossed;
    let (taken, session) = server.context("the server has failed")?;
    trial.write_messages(row, &client.report, &taken, &session);
    let error = failure.or_else(|| {
        (!taken.is_whole(trial))
            .then(|| "not every message was delivered once and in order".to_owned())
    });
    Ok(Ended { error, summary })
}

fn serve(server: MessagesServer, trial: &Trial, stop: &Stop) -> io::Result<(Taken, SessionReport)> {
    let mut taken = Taken::default();
    let totals = server.run(stop, |_, messages, _| {
        messages.iter().for_each(|message| taken.take(trial, message))
    })?;
    Ok((taken, totals.counts))
}
