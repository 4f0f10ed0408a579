//! Tables and lists of a stage that are written by node.

use super::StageCheck;
use crate::suggest;
use conjoin_train::stage::LrConfig;
use std::collections::BTreeSet;

impl StageCheck<'_, '_> {
    /// Tables and lists by node.
    pub(super) fn tables(&mut self) {
        let stage = self.stage;
        let trained: BTreeSet<&String> = stage.train.iter().collect();
        if let LrConfig::PerNode(nodes) = &stage.lr {
            let missing: Vec<&&String> = trained
                .iter()
                .filter(|node| !nodes.contains_key(**node))
                .collect();
            if !missing.is_empty() && !self.is_damaged(&["lr"]) {
                let quoted = missing.iter().map(|node| format!("\"{node}\""));
                let message = format!(
                    "{} gives no learning rate to {}",
                    self.reader.subject(&self.at(&["lr"])),
                    suggest::list(quoted)
                );
                self.report("missing-key", &self.at(&["lr"]), message, None);
            }
            self.only_trained("lr", nodes.keys());
        }
        self.only_trained("optimisers", stage.optimisers.keys());
        self.only_trained("regularise", stage.regularise.keys());
        for node in stage.weights.keys() {
            let place = self.at(&["weights", node]);
            self.reaches(&place, node);
        }
        for (index, node) in stage.reset.iter().enumerate() {
            let place = self.element("reset", index);
            self.reaches(&place, node);
        }
        for (node, import) in &stage.weights {
            if !import.path.as_os_str().is_empty() && !import.path.exists() {
                let place = self.at(&["weights", node, "path"]);
                let file = import.path.display().to_string();
                let message = format!("missing weights {file:?} for node \"{node}\"");
                self.report("missing-file", &place, message, None);
            }
        }
    }

    fn only_trained<'k>(&mut self, key: &str, nodes: impl Iterator<Item = &'k String>) {
        for node in nodes {
            if !self.stage.train.contains(node) && !self.is_damaged(&["train"]) {
                let place = self.at(&[key, node]);
                let message = format!(
                    "\"{key}\" of {} names node \"{node}\", which it does not train",
                    self.name()
                );
                self.report_key("not-trained", &place, message);
            }
        }
    }
}
