//! How a stage's learning rate moves, and how its weights are averaged.

use super::StageCheck;
use conjoin_train::schedule::ScheduleKind;

impl StageCheck<'_, '_> {
    /// Options that the chosen curve does not read would be lost without a word; those that it cannot
    /// do without must be there.
    pub(super) fn schedule(&mut self) {
        if self.is_damaged(&["schedule"]) {
            return;
        }
        let kind = self.stage.schedule.kind;
        let place = self.at(&["schedule"]);
        let given: Vec<&str> = ["end", "every", "gamma", "size", "warmup"]
            .into_iter()
            .filter(|key| {
                self.reader
                    .tree
                    .at(&place)
                    .is_some_and(|t| t.get(key).is_some())
            })
            .collect();
        let curved = matches!(kind, ScheduleKind::Cosine | ScheduleKind::Linear);
        let step = kind == ScheduleKind::Step;
        let noam = kind == ScheduleKind::Noam;
        for (key, fits, kinds) in [
            ("end", curved, "\"cosine\" and \"linear\""),
            ("every", step, "\"step\""),
            ("gamma", step, "\"step\""),
            ("size", noam, "\"noam\""),
        ] {
            if given.contains(&key) && !fits {
                let place = self.at(&["schedule", key]);
                let subject = self.reader.subject(&place);
                let message = format!("{subject} is read by schedules of kind {kinds} only");
                self.report_key("unused", &place, message);
            }
        }
        let falls = noam || kind == ScheduleKind::InverseSqrt;
        let name = if noam { "noam" } else { "inverse-sqrt" };
        for (key, wanted, kind, about) in [
            ("every", step, "step", "the steps between drops"),
            ("size", noam, name, "the features of the model"),
            (
                "warmup",
                falls,
                name,
                "the steps before the rate falls, 1 or more",
            ),
        ] {
            let none = key == "warmup" && self.stage.schedule.warmup == 0;
            if wanted && (none || !given.contains(&key)) {
                let message = format!(
                    "{}: kind \"{kind}\" wants \"{key}\", {about}",
                    self.reader.subject(&place)
                );
                self.report("missing-key", &place, message, None);
            }
        }
    }

    /// One average of the weights, of points that the stage reaches.
    pub(super) fn averages(&mut self) {
        let Some(average) = self.stage.average else {
            return;
        };
        let place = self.at(&["average"]);
        if self.stage.ema.is_some() {
            let message = format!(
                "{} has both \"ema\" and \"average\", expected one",
                self.name()
            );
            self.report_key("conflict", &place, message);
        }
        let reached = average
            .every
            .saturating_mul(average.last.saturating_sub(1) as u64);
        if let Some(steps) = self
            .stage
            .steps
            .filter(|&steps| average.last > 1 && reached >= steps)
        {
            let message = format!(
                "{}: {} weights, {} steps apart, expected to fit into the stage's {steps} steps",
                self.reader.subject(&place),
                average.last,
                average.every
            );
            self.report("out-of-range", &place, message, None);
        }
    }
}
