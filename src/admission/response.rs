//! The answer on the wire.

use std::collections::{BTreeMap, BTreeSet};

use base64::{
    Engine as _,
    engine::{Simd, general_purpose::PAD},
};
use serde::Serialize;
use serde_json::Value;

use super::{decision::Decision, review::Request};
use crate::inject::{ChangeReason, Conflict, patch::Operation};

/// The API server cuts all warnings of one answer at 4096 bytes and may cut each at 256
/// (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).
const WARNING_LENGTH: usize = 256;
/// Most warnings of one answer; the last one says how many more there are.
const WARNINGS: usize = 12;

/// Bytes that are set aside for a patch: that of a plain runner has 18 KB, most of it scripts.
const PATCH_CAPACITY: usize = 32 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'r> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'r>,
}

/// All but `patch` and `patchType`, see [`append`].
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'r> {
    pub uid: &'r str,
    pub allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status<'r>>,
}

/// Why a request is not allowed.
#[derive(Serialize)]
pub(super) struct Status<'r> {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details<'r>>,
}

/// Each problem of the object that is not allowed.
#[derive(Serialize)]
pub(super) struct Details<'r> {
    pub name: &'r str,
    pub group: &'static str,
    pub kind: &'static str,
    pub causes: Vec<Cause<'r>>,
}

/// One problem.
#[derive(Serialize)]
pub(super) struct Cause<'r> {
    pub reason: &'static str,
    pub field: &'r str,
    pub message: &'r str,
}

/// The `AdmissionReview` that answers `request` with `decision`. It always allows.
pub(crate) fn review(request: &Request<'_>, decision: &Decision<'_>) -> Vec<u8> {
    let mut annotations = BTreeMap::from([("outcome", decision.outcome().as_str().to_owned())]);
    let warnings = match decision {
        Decision::Skip(skip) => {
            annotations.insert("reason", decision.reason().to_owned());
            let warning =
                skip.is_warned().then(|| sanitised(&format!("arc-rocm: {}", skip.sentence())));
            warning.into_iter().collect()
        }
        Decision::Planned { selection, conflicts, .. } => {
            annotations.insert("profile", selection.profile.name.clone());
            if !conflicts.is_empty() {
                let codes: BTreeSet<_> = conflicts.iter().map(|one| one.code.as_str()).collect();
                let codes: Vec<_> = codes.into_iter().collect();
                annotations.insert("conflicts", codes.join(","));
            }
            let mut warnings = warnings(conflicts);
            if let Some(tie) = selection.tie {
                let text = format!(
                    "arc-rocm: profile {} was used, but {} has the same priority and matches too",
                    selection.profile.name, tie.name
                );
                warnings.push(sanitised(&text));
            }
            warnings
        }
    };
    let uid = &request.uid;
    let mut body = written(Response {
        uid,
        allowed: true,
        warnings,
        audit_annotations: annotations,
        status: None,
    });
    match decision {
        Decision::Planned { operations, .. } if !operations.is_empty() => {
            append(&mut body, operations);
        }
        _ => {}
    }
    body
}

/// The `AdmissionReview` that refuses the request `uid` for now. 503, because ARC tries again: it
/// marks a runner whose pod was refused with 403 or 422 as Failed for ever.
pub(super) fn refusal(uid: &str, message: String) -> Vec<u8> {
    let status = Status { code: 503, reason: "ServiceUnavailable", message, details: None };
    written(Response { uid, status: Some(status), ..Response::default() })
}

/// The `AdmissionReview` with this response.
pub(super) fn written(response: Response<'_>) -> Vec<u8> {
    let (api_version, kind) = (super::review::API_VERSION, super::review::KIND);
    // A response has only strings and numbers, which always serialise.
    serde_json::to_vec(&Review { api_version, kind, response }).unwrap_or_default()
}

/// Adds the patch to the end of the response. The two fields come together or not at all: the API
/// server refuses one alone. Base64 has nothing to escape, so the many bytes of it go in as they
/// are; a serializer would look at each.
fn append(body: &mut Vec<u8>, operations: &[Operation<'_, ChangeReason>]) {
    const END: &[u8] = b"}}";
    let mut patch = Vec::with_capacity(PATCH_CAPACITY);
    if serde_json::to_writer(&mut patch, operations).is_err() || !body.ends_with(END) {
        return;
    }
    body.truncate(body.len() - END.len());
    body.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
    body.extend_from_slice(Simd::standard(PAD).encode(&patch).as_bytes());
    body.push(b'"');
    body.extend_from_slice(END);
}

/// One warning per conflict.
fn warnings(conflicts: &[Conflict]) -> Vec<String> {
    let mut warnings: Vec<String> = conflicts
        .iter()
        .take(WARNINGS)
        .map(|conflict| sanitised(&format!("arc-rocm: {conflict}")))
        .collect();
    if conflicts.len() > WARNINGS {
        warnings.push(format!("arc-rocm: and {} more", conflicts.len() - WARNINGS));
    }
    warnings
}

/// Printable ASCII of a bounded length: warnings travel as HTTP headers, and the API server drops
/// those with control characters.
fn sanitised(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(WARNING_LENGTH)
        .collect();
    if text.len() > WARNING_LENGTH {
        clean.truncate(WARNING_LENGTH - 3);
        clean.push_str("...");
    }
    clean
}

/// For people and programs: one conflict as JSON.
pub(crate) fn conflict_json(conflict: &Conflict) -> Value {
    serde_json::json!({
        "code": conflict.code.as_str(),
        "winner": conflict.winner.as_str(),
        "path": conflict.path,
        "message": conflict.message,
    })
}
