//! The registration as the API server has it, as far as trust is concerned.

use std::{fmt, slice::from_ref};

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

use crate::{
    certs,
    tls::{self, Validity},
};

/// The kind of a registration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// For pods.
    Mutating,
    /// For RunnerProfiles.
    Validating,
}

/// One registration.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) kind: Kind,
    name: String,
    version: Option<String>,
    /// When it was changed last, by the API server's clock; `None` if that cannot be told.
    changed: Option<i64>,
    webhooks: Vec<Webhook>,
}

#[derive(Clone, Debug)]
struct Webhook {
    name: String,
    bundle: Vec<CertificateDer<'static>>,
    /// The name that the API server asks the certificate for; `None` if it cannot be told.
    host: Option<ServerName<'static>>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        })
    }
}

impl Live {
    /// The registration for pods.
    pub(super) fn mutating(configuration: &MutatingWebhookConfiguration) -> Self {
        let webhooks = configuration.webhooks.iter().flatten();
        let webhooks = webhooks.map(|one| webhook(&one.name, &one.client_config)).collect();
        Self::new(Kind::Mutating, &configuration.metadata, webhooks)
    }

    /// The registration for RunnerProfiles.
    pub(super) fn validating(configuration: &ValidatingWebhookConfiguration) -> Self {
        let webhooks = configuration.webhooks.iter().flatten();
        let webhooks = webhooks.map(|one| webhook(&one.name, &one.client_config)).collect();
        Self::new(Kind::Validating, &configuration.metadata, webhooks)
    }

    fn new(kind: Kind, metadata: &ObjectMeta, webhooks: Vec<Webhook>) -> Self {
        Self {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
            version: metadata.resource_version.clone(),
            changed: changed(metadata),
            webhooks,
        }
    }

    /// For how many seconds no field was set.
    pub(super) fn unchanged(&self, now: i64) -> i64 {
        self.changed.map_or(0, |changed| now.saturating_sub(changed))
    }

    /// The certificates that every webhook's `caBundle` has.
    pub(super) fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let Some((first, others)) = self.webhooks.split_first() else { return Vec::new() };
        let all = |one: &&CertificateDer<'static>| others.iter().all(|w| w.bundle.contains(one));
        first.bundle.iter().filter(all).cloned().collect()
    }

    /// Whether a `caBundle` differs from these certificates, in any order.
    pub(super) fn lacks(&self, bundle: &[CertificateDer<'static>]) -> bool {
        self.webhooks.iter().any(|webhook| {
            !bundle.iter().all(|one| webhook.bundle.contains(one))
                || !webhook.bundle.iter().all(|one| bundle.contains(one))
        })
    }

    /// Whether every webhook trusts a chain, regardless of its names.
    pub(super) fn trusts(&self, chain: &[CertificateDer<'static>], now: i64) -> bool {
        !self.webhooks.is_empty()
            && self.webhooks.iter().all(|one| tls::verify(chain, &one.bundle, now).is_ok())
    }

    /// Whether the API server accepts a chain; the error is of the first webhook that does not.
    pub(super) fn accepts(
        &self,
        chain: &[CertificateDer<'static>],
        now: i64,
    ) -> Result<(), String> {
        let of = &self.name;
        if self.webhooks.is_empty() {
            return Err(format!("MutatingWebhookConfiguration {of} has no webhooks"));
        }
        for Webhook { name, bundle, host } in &self.webhooks {
            tls::verify(chain, bundle, now)
                .and_then(|()| tls::named(chain, host.clone()))
                .map_err(|error| {
                    format!(
                        "the certificate in use is not trusted by webhook {name} of \
                         MutatingWebhookConfiguration {of}: {error}"
                    )
                })?;
        }
        Ok(())
    }

    /// The validity of the CA that makes a chain trusted, or of an intermediate that ends before it. Of
    /// one webhook's CAs the last to end counts, because one is enough; of all webhooks the first to end,
    /// because each is called. `None` if a webhook has the leaf itself and no CA of it.
    pub(super) fn ca_validity(
        &self,
        chain: &[CertificateDer<'static>],
        now: i64,
    ) -> Option<Validity> {
        let signs = |one: &&CertificateDer<'static>| {
            chain.first() != Some(one) && tls::verify(chain, from_ref(*one), now).is_ok()
        };
        let of = |webhook: &Webhook| {
            let all = webhook.bundle.iter().filter(signs);
            all.filter_map(|one| first_to_end(chain, one, now))
                .max_by_key(|validity| validity.not_after)
        };
        let of_all: Option<Vec<Validity>> = self.webhooks.iter().map(of).collect();
        of_all?.into_iter().min_by_key(|validity| validity.not_after)
    }

    /// The object to apply so that every webhook trusts `bundle`, PEM. It conflicts if the configuration
    /// has changed since it was read.
    pub(super) fn publication(&self, bundle: &str) -> Value {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let webhooks: Vec<Value> = self
            .webhooks
            .iter()
            .map(|one| json!({"name": one.name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": self.kind.to_string(),
            "metadata": {"name": self.name, "resourceVersion": self.version},
            "webhooks": webhooks,
        })
    }
}

/// The first validity to end of a root and of the intermediates that the chain needs.
fn first_to_end(
    chain: &[CertificateDer<'static>],
    root: &CertificateDer<'static>,
    now: i64,
) -> Option<Validity> {
    let is_needed = |between: &&CertificateDer<'static>| {
        let without: Vec<_> = chain.iter().filter(|one| one != between).cloned().collect();
        tls::verify(&without, from_ref(root), now).is_err()
    };
    let between = chain.iter().skip(1).filter(is_needed);
    let all = between.chain([root]).filter_map(|one| tls::validity(one).ok());
    all.min_by_key(|validity| validity.not_after)
}

/// When a field was last set, from the managed fields. A manager that sets a field is there with the
/// time; one that removes a field may not be (apimachinery, `managedfields`). `None` if a manager has no
/// time.
fn changed(metadata: &ObjectMeta) -> Option<i64> {
    let managers = metadata.managed_fields.as_deref().unwrap_or_default();
    let times: Option<Vec<i64>> =
        managers.iter().map(|manager| Some(manager.time.as_ref()?.0.as_second())).collect();
    times?.into_iter().max()
}

fn webhook(name: &str, config: &WebhookClientConfig) -> Webhook {
    let bundle = config.ca_bundle.as_ref().map(|bytes| String::from_utf8_lossy(&bytes.0));
    Webhook {
        name: name.to_owned(),
        bundle: bundle.map(|text| certs::certificates(&text)).unwrap_or_default(),
        host: asked(config),
    }
}

/// The name that the API server asks a webhook's certificate for: NAME.NAMESPACE.svc, or the URL's
/// host; `None` if it cannot be told.
fn asked(config: &WebhookClientConfig) -> Option<ServerName<'static>> {
    let host = match (&config.service, &config.url) {
        (Some(service), _) => format!("{}.{}.svc", service.name, service.namespace),
        (None, url) => host(url.as_deref()?)?,
    };
    ServerName::try_from(host).ok()
}

/// The host of a URL, without the brackets of an IPv6 address.
fn host(url: &str) -> Option<String> {
    let url: hyper::Uri = url.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, ServiceReference};
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;
    use crate::{
        certs::{Issued, issue, now},
        tls::Pair,
    };

    fn live(bundles: &[&str]) -> Live {
        let service = ServiceReference {
            name: "arc-rocm".to_owned(),
            namespace: "arc-rocm".to_owned(),
            ..ServiceReference::default()
        };
        let webhook = |(index, bundle): (usize, &&str)| MutatingWebhook {
            name: format!("{index}.arc-rocm.dev"),
            client_config: WebhookClientConfig {
                ca_bundle: Some(ByteString(bundle.as_bytes().to_vec())),
                service: Some(service.clone()),
                url: None,
            },
            ..MutatingWebhook::default()
        };
        let webhooks = Some(bundles.iter().enumerate().map(webhook).collect());
        Live::mutating(&MutatingWebhookConfiguration { webhooks, ..Default::default() })
    }

    fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
        let pair = Pair::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).unwrap();
        pair.chain().to_vec()
    }

    #[test]
    fn certificate_is_accepted_if_every_webhook_trusts_it() {
        let (own, other) = (issue(&[], 1).unwrap(), issue(&[], 1).unwrap());
        let both = format!("{}{}", other.ca, own.ca);
        let chain = chain(&own);
        assert_eq!(live(&[&own.ca, &both]).accepts(&chain, now()), Ok(()));
        for bundles in [[own.ca.as_str(), &other.ca], [&own.ca, ""], ["broken", &own.ca]] {
            let refused = live(&bundles).accepts(&chain, now()).unwrap_err();
            assert!(refused.contains("is not trusted by webhook"), "{refused}");
            assert!(!live(&bundles).trusts(&chain, now()));
        }
        let mut elsewhere = live(&[&own.ca]);
        elsewhere.webhooks[0].host = Some("arc-rocm.other.svc".try_into().unwrap());
        let refused = elsewhere.accepts(&chain, now()).unwrap_err();
        assert!(refused.ends_with("it is not for arc-rocm.other.svc"), "{refused}");
        assert!(live(&[]).accepts(&chain, now()).unwrap_err().ends_with("has no webhooks"));
    }

    #[test]
    fn expired_ca_or_certificate_is_not_trusted() {
        let own = issue(&[], 1).unwrap();
        let chain = chain(&own);
        for now in [now() - 600, now() + 2 * 24 * 3600] {
            let refused = live(&[&own.ca]).accepts(&chain, now).unwrap_err();
            assert!(refused.contains("verification failed"), "{refused}");
        }
    }

    /// `openssl req -x509`, and cert-manager's self-signed issuer.
    #[test]
    fn certificate_in_the_bundle_is_accepted() {
        let own = issue(&[], 1).unwrap();
        assert_eq!(live(&[&own.certificate]).accepts(&chain(&own), now()), Ok(()));
        let ended = now() + 2 * 24 * 3600;
        assert!(live(&[&own.certificate]).accepts(&chain(&own), ended).is_err());
    }

    /// What `arc-rocm certs` writes, and cert-manager's issuer of kind `ca` under a root of its own.
    #[test]
    fn ca_of_a_single_certificate_is_found_in_the_bundle() {
        let (own, other) = (issue(&[], 1).unwrap(), issue(&[], 2).unwrap());
        let chain = chain(&own);
        assert_eq!(chain.len(), 1);
        let validity = |text: &str| tls::validity(&certs::certificates(text)[0]).unwrap();
        let both = format!("{}{}", other.ca, own.ca);
        let ca = validity(&own.ca);
        assert_eq!(live(&[&both]).ca_validity(&chain, now()), Some(ca));
        assert_eq!(live(&[&both, &own.ca]).ca_validity(&chain, now()), Some(ca));
        for bundles in [&[] as &[&str], &[&other.ca], &[&both, &other.ca], &[&own.certificate]] {
            assert_eq!(live(bundles).ca_validity(&chain, now()), None, "{bundles:?}");
        }
        let ended = now() + 2 * 24 * 3600;
        assert_eq!(live(&[&both]).ca_validity(&chain, ended), None);
    }

    /// As cert-manager's are whose `rotationPolicy` is `Never`.
    #[test]
    fn later_ca_of_one_key_and_earlier_webhook_count() {
        let key = KeyPair::generate().unwrap();
        let ca = |end: i32| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(end, 1, 1);
            params.self_signed(&key).unwrap()
        };
        let (early, late) = (ca(2090), ca(2095));
        let issuer = Issuer::from_ca_cert_der(early.der(), &key).unwrap();
        let leaf = CertificateParams::new(vec!["arc-rocm.arc-rocm.svc".to_owned()]).unwrap();
        let chain = [leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().into()];
        let end = |bundles: &[&str]| {
            let ca = live(bundles).ca_validity(&chain, now()).unwrap();
            ca.not_after
        };
        let both = format!("{}{}", early.pem(), late.pem());
        let first = early.pem();
        let (early, late) = (end(&[&first]), end(&[&late.pem()]));
        assert!(early < late);
        assert_eq!(end(&[&both]), late);
        assert_eq!(end(&[&both, &first]), early);
    }

    #[test]
    fn needed_intermediate_that_ends_first_counts() {
        let ca = |end: i32, name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(end, 1, 1);
            params
        };
        let keys = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = ca(2095, "root").self_signed(&keys[0]).unwrap();
        let of_root = Issuer::from_ca_cert_der(root.der(), &keys[0]).unwrap();
        let between = ca(2085, "between").signed_by(&keys[1], &of_root).unwrap();
        let of_between = Issuer::from_ca_cert_der(between.der(), &keys[1]).unwrap();
        let other = ca(2080, "other").self_signed(&keys[2]).unwrap();
        let leaf = CertificateParams::new(vec!["arc-rocm.arc-rocm.svc".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &of_between).unwrap();
        let whole = [&leaf, &between, &root, &other].map(|one| one.der().clone());
        let end = |bundle: String, chain: &[CertificateDer<'static>]| {
            live(&[&bundle]).ca_validity(chain, now()).map(|ca| ca.not_after)
        };
        let is = |one: &rcgen::Certificate| Some(tls::validity(one.der()).unwrap().not_after);
        // Extra certificates in a chain do no harm.
        assert_eq!(end(root.pem(), &whole), is(&between));
        assert_eq!(end(between.pem(), &whole), is(&between));
        assert_eq!(end(format!("{}{}", root.pem(), between.pem()), &whole), is(&between));
        assert_eq!(end(other.pem(), &whole), None);
    }

    #[test]
    fn bundle_compares_without_order() {
        let (one, two) = (issue(&[], 1).unwrap().ca, issue(&[], 1).unwrap().ca);
        let both = certs::certificates(&format!("{one}{two}"));
        let reversed = format!("{two}\n{one}");
        assert!(!live(&[&reversed]).lacks(&both));
        assert!(live(&[&one]).lacks(&both));
        assert!(live(&[&reversed]).lacks(&both[..1]));
        assert!(live(&[&reversed, ""]).lacks(&both));
        assert_eq!(live(&[&reversed, &one]).trusted(), both[..1]);
    }

    #[test]
    fn the_time_since_the_last_change_is_that_of_the_last_manager_and_none_if_one_is_unknown() {
        let of = |times: &[Option<&str>]| {
            let manager = |time: Option<&str>| json!({"manager": "m", "time": time});
            let managers: Vec<Value> = times.iter().copied().map(manager).collect();
            let metadata = json!({"name": "a", "managedFields": managers});
            Live::mutating(&serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let (early, late) = (Some("1970-01-01T00:01:00Z"), Some("1970-01-01T00:02:00Z"));
        assert_eq!(of(&[late, early]).unchanged(200), 80);
        assert_eq!(of(&[early, None]).unchanged(200), 0);
        assert_eq!(of(&[]).unchanged(200), 0);
    }

    #[test]
    fn the_name_asked_for_is_the_services_or_the_urls() {
        assert_eq!(host("https://192.0.2.7:8443/mutate").as_deref(), Some("192.0.2.7"));
        assert_eq!(host("https://[2001:db8::1]:8443/mutate").as_deref(), Some("2001:db8::1"));
        assert_eq!(host("https://hooks.example/mutate").as_deref(), Some("hooks.example"));
        assert_eq!(host("https://dev.example:8443/mutate").as_deref(), Some("dev.example"));
        assert_eq!(host("https://[::1]:8443/mutate").as_deref(), Some("::1"));
        assert_eq!(host("https://10.0.0.1/mutate").as_deref(), Some("10.0.0.1"));
    }
}
