//! `jobHooks`: how the runner finds the scripts, and without an image the init container that writes
//! them.

use serde_json::json;

use super::Parts;
use crate::{
    profile::{
        spec::JobHooks,
        template::{GPUS_VARIABLE, HOOKS_VOLUME, INIT_HOOKS},
    },
    scripts,
};

/// Where the scripts are. The runner can only read them there: a job runs as the same user.
const PATH: &str = "/etc/arc-rocm/hooks";
/// More than an idle GPU uses (some 300 MiB on an MI300X), less than what any leak has been seen to.
const MAX_USED_VRAM_MIB: u32 = 1024;

impl Parts {
    pub(super) fn hooks(&mut self, hooks: &JobHooks) {
        let JobHooks { enabled: _, max_used_vram_mib } = hooks;
        let limit = max_used_vram_mib.unwrap_or(MAX_USED_VRAM_MIB);
        let path = if self.has_scripts_image { scripts::image::PATH } else { PATH };
        self.runner_env.extend([
            json!({
                "name": "ACTIONS_RUNNER_HOOK_JOB_STARTED",
                "value": format!("{path}/job-started.sh"),
            }),
            json!({
                "name": "ACTIONS_RUNNER_HOOK_JOB_COMPLETED",
                "value": format!("{path}/job-completed.sh"),
            }),
            json!({"name": GPUS_VARIABLE}),
            json!({"name": "ARC_ROCM_MAX_USED_VRAM_MIB", "value": limit.to_string()}),
        ]);
        if self.has_scripts_image {
            return;
        }
        self.volumes.push(json!({"name": HOOKS_VOLUME, "emptyDir": {}}));
        self.runner_mounts.push(json!({"name": HOOKS_VOLUME, "mountPath": PATH, "readOnly": true}));
        // Before dind, which the ones after it have to wait for. Its image is the runner's.
        self.init_containers.insert(
            0,
            json!({
                "name": INIT_HOOKS,
                "command": ["/bin/sh", "-c", scripts::WRITE_HOOKS, scripts::WRITE_HOOKS_NAME],
                "args": [PATH, scripts::JOB_STARTED.as_str(), scripts::JOB_COMPLETED.as_str()],
                "volumeMounts": [{"name": HOOKS_VOLUME, "mountPath": PATH}],
            }),
        );
    }
}
