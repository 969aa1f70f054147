//! What runs the webhook in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction,
            Namespace, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
            SeccompProfile, SecretVolumeSource, SecurityContext, Service, ServiceAccount,
            ServicePort, ServiceSpec, TopologySpreadConstraint, Volume, VolumeMount,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
        rbac::v1::{Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{Document, Settings, Workload};
use crate::server::limits::{HARD_STOP, SHUTDOWN_GRACE};

/// The Service's port, which is the API server's default for webhooks.
pub(super) const SERVICE_PORT: i32 = 443;
/// The ports of `arc-rocm serve`, by the names that Service and probes use.
const WEBHOOK_PORT: (&str, i32) = ("webhook", 8443);
const ADMIN_PORT: (&str, i32) = ("admin", 8080);
/// The user of distroless images that is not root.
const USER: i64 = 65532;
/// `r--r-----`: the key is for our group, which is `fsGroup`.
const SECRET_MODE: i32 = 0o440;
const TLS_PATH: &str = "/etc/arc-rocm/tls";
const PROFILES_PATH: &str = "/etc/arc-rocm/profiles";
/// What the kubelet leaves the process beyond its own longest way down.
const GRACE_MARGIN: u64 = 5;
/// Room for all that the server's own limits allow (`server::limits`): the bodies under way and
/// the state of every connection, so that a flood is answered 503 and never ends in an OOM kill.
const MEMORY_LIMIT: &str = "256Mi";

const NAMESPACE: &str = "\
Our pods need no privilege, so their namespace allows none. The runners, whose Docker-in-Docker is
privileged, live in namespaces of their own.";
const SERVICE_ACCOUNT: &str =
    "The webhook is called by the API server and never calls it: no token is mounted.";
const ROLE: &str = "\
RBAC: the webhook reads and writes nothing through the API server, so this account may do nothing.
The empty list says so on purpose; a rule that is ever needed has to be added here, for all to see.";
const ROLE_BINDING: &str = "Binds the account to the empty role above.";
const DEPLOYMENT: &str = "\
Two pods on two hosts where there are two: with failurePolicy Fail, runners wait while there is
none. A new pod is ready before an old one goes, and a pod that goes serves on for its grace
period, until no API server sends it anything. Service links are off, because those of a Service
of our name would be environment variables with the prefix of our own. The image is Linux's, so the
nodes have to be: without the selector the scheduler would take any.";
const SERVICE: &str = "What the API server calls.";
const BUDGET: &str = "\
At most one pod at a time leaves for a drain of its node. Not minAvailable 1, which would block
the drain for ever where there is one replica.";

/// The labels of all objects, and of the pods.
pub(super) fn labels(name: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "arc-rocm"), ("app.kubernetes.io/instance", name)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

pub(super) fn documents(
    settings: &Settings,
    workload: &Workload,
) -> serde_json::Result<Vec<Document>> {
    let Settings { name, namespace, .. } = settings;
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: Some(namespace.clone()),
        labels: Some(labels(name)),
        ..ObjectMeta::default()
    };
    let selector = LabelSelector { match_labels: Some(labels(name)), match_expressions: None };

    let account = ServiceAccount {
        metadata: metadata.clone(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    let role = Role { metadata: metadata.clone(), rules: Some(Vec::new()) };
    let binding = RoleBinding {
        metadata: metadata.clone(),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(namespace.clone()),
            api_group: None,
        }]),
    };
    let deployment = Deployment {
        metadata: metadata.clone(),
        spec: DeploymentSpec {
            replicas: Some(i32::from(workload.replicas)),
            selector: selector.clone(),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template: pod(name, selector.clone(), workload),
            ..DeploymentSpec::default()
        },
        status: None,
    };
    let service = Service {
        metadata: metadata.clone(),
        spec: Some(ServiceSpec {
            selector: Some(labels(name)),
            ports: Some(vec![ServicePort {
                name: Some(WEBHOOK_PORT.0.to_owned()),
                port: SERVICE_PORT,
                target_port: Some(IntOrString::String(WEBHOOK_PORT.0.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    let budget = PodDisruptionBudget {
        metadata,
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    Ok(vec![
        Document::new(NAMESPACE, &own_namespace(name, namespace))?,
        Document::new(SERVICE_ACCOUNT, &account)?,
        Document::new(ROLE, &role)?,
        Document::new(ROLE_BINDING, &binding)?,
        Document::new(DEPLOYMENT, &deployment)?,
        Document::new(SERVICE, &service)?,
        Document::new(BUDGET, &budget)?,
    ])
}

fn own_namespace(name: &str, namespace: &str) -> Namespace {
    let mut labels = labels(name);
    labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

fn pod(name: &str, selector: LabelSelector, workload: &Workload) -> PodTemplateSpec {
    let Workload { tls_secret, profiles_config_map, .. } = workload;
    let grace = (SHUTDOWN_GRACE + HARD_STOP).as_secs() + GRACE_MARGIN;
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(name)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(name.to_owned()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            node_selector: Some([("kubernetes.io/os".to_owned(), "linux".to_owned())].into()),
            termination_grace_period_seconds: i64::try_from(grace).ok(),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                label_selector: Some(selector),
                // Pods of the previous version do not count.
                match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
                ..TopologySpreadConstraint::default()
            }]),
            containers: vec![container(workload)],
            volumes: Some(vec![
                Volume {
                    name: "tls".to_owned(),
                    secret: Some(SecretVolumeSource {
                        secret_name: Some(tls_secret.clone()),
                        default_mode: Some(SECRET_MODE),
                        ..SecretVolumeSource::default()
                    }),
                    ..Volume::default()
                },
                Volume {
                    name: "profiles".to_owned(),
                    config_map: Some(ConfigMapVolumeSource {
                        name: profiles_config_map.clone(),
                        // Without it the directory is empty, which means the built-in profile.
                        optional: Some(true),
                        ..ConfigMapVolumeSource::default()
                    }),
                    ..Volume::default()
                },
            ]),
            ..PodSpec::default()
        }),
    }
}

fn container(workload: &Workload) -> Container {
    let Workload { image, requesters, .. } = workload;
    let mut args = vec![
        "serve".to_owned(),
        format!("--tls-cert={TLS_PATH}/tls.crt"),
        format!("--tls-key={TLS_PATH}/tls.key"),
        format!("--profiles={PROFILES_PATH}"),
    ];
    args.extend(requesters.iter().map(|pattern| format!("--requester={pattern}")));
    let quantities = |pairs: &[(&str, &str)]| {
        let quantity = |&(name, text): &(&str, &str)| (name.to_owned(), Quantity(text.to_owned()));
        Some(pairs.iter().map(quantity).collect())
    };
    let port = |(name, number): (&str, i32)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    };
    let probe = |path: &str| {
        Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.to_owned()),
                port: IntOrString::String(ADMIN_PORT.0.to_owned()),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(5),
            ..Probe::default()
        })
    };
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Container {
        name: "arc-rocm".to_owned(),
        image: Some(image.clone()),
        args: Some(args),
        ports: Some(vec![port(WEBHOOK_PORT), port(ADMIN_PORT)]),
        readiness_probe: probe("/readyz"),
        liveness_probe: probe("/livez"),
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "50m"), ("memory", "16Mi")]),
            limits: quantities(&[("memory", MEMORY_LIMIT)]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![mount("tls", TLS_PATH), mount("profiles", PROFILES_PATH)]),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        quantity::Quantity as Amount,
        server::limits::{
            BODY_LIMIT, BUFFERED_BODIES, MAX_CONNECTIONS, READ_BUFFER, SPARE_CONNECTIONS,
        },
    };

    #[test]
    fn the_memory_limit_has_room_for_what_the_server_allows() {
        // limits.rs: some 30 KiB a connection, and what is read ahead on each; one body in one
        // piece; a few MiB for the process itself.
        let connections = (MAX_CONNECTIONS + SPARE_CONNECTIONS) * (30 * 1024 + READ_BUFFER);
        let needed = BUFFERED_BODIES + connections + BODY_LIMIT + (16 << 20);
        let limit = MEMORY_LIMIT.parse::<Amount>().unwrap().whole().unwrap();
        assert!(limit >= needed as u64, "{limit} < {needed}");
    }
}
