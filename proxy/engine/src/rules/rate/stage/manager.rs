//! Whoever keeps the queue in front of a rate short, besides its bound.

use super::RateStage;
use crate::rules::rate::discipline::{Codel, Discipline, DualQueue, FlowQueues, Pie, Queues};
use crate::rules::source::Origin;
use jostle_common::time::Instant;

/// Whoever keeps the queue short, besides its bound.
#[derive(Debug)]
pub(super) enum Manager {
    None,
    Codel(Box<Codel>),
    Pie(Box<Pie>),
    /// It has queues of its own, in place of the one of the stage.
    Queues(Box<dyn Queues>),
}

impl RateStage {
    /// Puts the queue under another manager, or gives the one it has other parameters. What waits
    /// stays, though it may wait elsewhere.
    pub(super) fn set_manager(&mut self, discipline: &Discipline, origin: Origin, now: Instant) {
        if let Manager::Queues(queues) = &mut self.manager {
            if queues.retune(now, discipline) {
                return;
            }
            for packet in queues.take_all() {
                self.waiting.push(packet);
            }
        }
        let (old, overhead) =
            (std::mem::replace(&mut self.manager, Manager::None), self.waiting.overhead());
        let mut manager = match (discipline, old) {
            (Discipline::Tail | Discipline::Head | Discipline::Wait, _) => Manager::None,
            (Discipline::Codel(setting), Manager::Codel(mut codel)) => {
                codel.retune(*setting);
                Manager::Codel(codel)
            }
            (Discipline::Codel(setting), _) => Manager::Codel(Box::new(Codel::new(*setting))),
            (Discipline::Pie(setting), Manager::Pie(mut pie)) => {
                pie.retune(now, *setting);
                Manager::Pie(pie)
            }
            (Discipline::Pie(setting), _) => {
                Manager::Pie(Box::new(Pie::new(*setting, origin.epoch, now)))
            }
            (Discipline::FqCodel(setting), _) => {
                Manager::Queues(Box::new(FlowQueues::new(*setting, origin.source, overhead)))
            }
            (Discipline::DualPi2(setting), _) => {
                Manager::Queues(Box::new(DualQueue::new(*setting, origin.epoch, now, overhead)))
            }
        };
        if let Manager::Queues(queues) = &mut manager {
            for packet in self.waiting.take_all() {
                queues.push(packet);
            }
        }
        self.manager = manager;
    }
}
