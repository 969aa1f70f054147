//! Labels, annotations, and the annotation that says what was done.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{ConflictCode, Planner, Reason};
use crate::{VERSION, annotations, inject::patch::Step, podspec::equal::covers};

impl<'p> Planner<'p> {
    pub(super) fn metadata(&mut self) {
        for (map, wanted) in &self.template.metadata {
            let Value::Object(wanted) = wanted else { continue };
            self.metadata_map(map, wanted);
        }
        self.status();
    }

    fn metadata_map(&mut self, map: &'p str, wanted: &'p Map<String, Value>) {
        for (key, wanted) in wanted {
            match self.pod.at(&["metadata", map, key]) {
                None => {
                    let steps = [Step::Key("metadata"), Step::Key(map), Step::Key(key)];
                    self.edits.set(&steps, Cow::Borrowed(wanted), Reason::Profile);
                }
                Some(there) if covers(there, wanted) => {}
                Some(_) => self.kept(ConflictCode::FieldKept, format!("metadata.{map}[{key}]")),
            }
        }
    }

    /// `arc-rocm.dev/status`: profile, version and the digest of what was applied.
    fn status(&mut self) {
        let status = format!(
            r#"{{"profile":"{}","version":"{VERSION}","digest":"{}"}}"#,
            self.selected.name, self.selected.digest
        );
        let there = self.pod.at(&["metadata", "annotations", annotations::STATUS]);
        if there.and_then(crate::podspec::Json::as_str) != Some(&status) {
            let steps =
                [Step::Key("metadata"), Step::Key("annotations"), Step::Key(annotations::STATUS)];
            self.edits.set(&steps, Value::String(status), Reason::Status);
        }
    }
}
