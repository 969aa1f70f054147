//! A registration as the API server has it, as far as trust is concerned.

use std::slice::from_ref;

use k8s_openapi::{ByteString, api::admissionregistration::v1::WebhookClientConfig};
use kube::api::DynamicObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    certs,
    tls::{self, Validity},
};

/// One registration.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    kind: String,
    name: String,
    version: Option<String>,
    webhooks: Vec<Webhook>,
}

#[derive(Clone, Debug)]
struct Webhook {
    name: String,
    bundle: Vec<CertificateDer<'static>>,
    /// The name that the API server asks the certificate for; `None` if it cannot be told.
    host: Option<ServerName<'static>>,
}

/// A webhook, as both kinds of registrations have it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    name: String,
    client_config: WebhookClientConfig,
}

impl Registration {
    /// Reads a registration of this kind. A webhook that cannot be read is left out.
    pub(super) fn read(kind: &str, object: DynamicObject) -> Self {
        let DynamicObject { metadata, mut data, .. } = object;
        let webhooks = data.get_mut("webhooks").and_then(Value::as_array_mut);
        let webhooks = webhooks.into_iter().flatten();
        let webhooks = webhooks.filter_map(|one| Stored::deserialize(one.take()).ok());
        Self {
            kind: kind.to_owned(),
            name: metadata.name.unwrap_or_default(),
            version: metadata.resource_version,
            webhooks: webhooks.map(webhook).collect(),
        }
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

    /// The object to apply so that each webhook has the CAs that `wanted` says of those that it has;
    /// `None` if it has them. It conflicts if the registration has changed since it was read.
    pub(super) fn publication(
        &self,
        wanted: impl Fn(&[CertificateDer<'static>]) -> Vec<CertificateDer<'static>>,
    ) -> Option<Value> {
        let is_same = |webhook: &Webhook, wanted: &[CertificateDer<'static>]| {
            wanted.len() == webhook.bundle.len()
                && wanted.iter().all(|one| webhook.bundle.contains(one))
        };
        let wanted: Vec<_> = self.webhooks.iter().map(|one| (one, wanted(&one.bundle))).collect();
        if wanted.iter().all(|(webhook, wanted)| is_same(webhook, wanted)) {
            return None;
        }
        let webhooks: Vec<Value> = wanted
            .iter()
            .map(|(webhook, wanted)| {
                let bundle = ByteString(certs::pem(wanted).into_bytes());
                json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}})
            })
            .collect();
        Some(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": self.kind,
            "metadata": {"name": self.name, "resourceVersion": self.version},
            "webhooks": webhooks,
        }))
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

fn webhook(Stored { name, client_config }: Stored) -> Webhook {
    let bundle = client_config.ca_bundle.as_ref().map(|bytes| String::from_utf8_lossy(&bytes.0));
    Webhook {
        name,
        bundle: bundle.map(|text| certs::certificates(&text)).unwrap_or_default(),
        host: asked(&client_config),
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
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;
    use crate::{
        certs::{Issued, issue, now},
        tls::Pair,
    };

    fn live(bundles: &[&str]) -> Registration {
        let webhook = |(index, bundle): (usize, &&str)| {
            json!({
                "name": format!("{index}.arc-rocm.dev"),
                "clientConfig": {
                    "caBundle": ByteString(bundle.as_bytes().to_vec()),
                    "service": {"name": "arc-rocm", "namespace": "arc-rocm"},
                },
            })
        };
        let webhooks: Vec<Value> = bundles.iter().enumerate().map(webhook).collect();
        let object = json!({"metadata": {"name": "arc-rocm"}, "webhooks": webhooks});
        Registration::read("MutatingWebhookConfiguration", serde_json::from_value(object).unwrap())
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
        for now in [now() - 2 * 3600, now() + 2 * 24 * 3600] {
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
    fn bundle_is_published_where_a_webhook_has_another() {
        let (one, two) = (issue(&[], 1).unwrap().ca, issue(&[], 1).unwrap().ca);
        let (both, reversed) = (format!("{one}{two}"), format!("{two}\n{one}"));
        let wanted = |text: &str| {
            let wanted = certs::certificates(text);
            move |_: &[CertificateDer<'static>]| wanted.clone()
        };
        // The order does not matter.
        assert_eq!(live(&[&reversed, &both]).publication(wanted(&both)), None);
        for bundles in [[&*one, &both], [&reversed, ""], [&both, &format!("{both}{one}")]] {
            let change = live(&bundles).publication(wanted(&both)).unwrap();
            assert_eq!(change["metadata"]["name"], "arc-rocm");
            let expected = json!(ByteString(both.replace('\r', "").into_bytes()));
            for index in 0..2 {
                let webhook = &change["webhooks"][index];
                assert_eq!(webhook["name"], format!("{index}.arc-rocm.dev"));
                assert_eq!(webhook["clientConfig"], json!({"caBundle": expected}));
            }
        }
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
