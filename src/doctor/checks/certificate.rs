//! Whether the `caBundle` verifies the serving certificate, and until when.

use k8s_openapi::{ByteString, api::admissionregistration::v1::WebhookClientConfig};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use super::{count, installation};
use crate::{
    doctor::{Check, Facts, FindingCode, deployment},
    tls::{self, Validity},
};

/// The earliest warning: two weeks, in seconds.
const LONGEST: i64 = 14 * 86_400;
/// The part of a short lifetime that is left at the warning. The webhook and, by default, cert-manager
/// renew when a third is left.
const LEFT: i64 = 5;

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("certificate");
    let config = facts.webhook().map(|webhook| &webhook.client_config);
    check.known(&facts.registration);
    // For a URL the API server may use its system CAs, and the certificate is elsewhere.
    if config.is_some_and(|config| config.url.is_some()) {
        "registered by URL: the certificate is not in the cluster".clone_into(&mut check.summary);
        return check;
    }
    let bundle = config.and_then(|config| bundle(&mut check, facts, config));
    let chain = chain(&mut check, facts);
    let (Some(bundle), Some(chain), Some(service)) =
        (bundle, chain, config.and_then(|config| config.service.as_ref()))
    else {
        return check;
    };
    let host = ServerName::try_from(format!("{}.{}.svc", service.name, service.namespace)).ok();
    let verified = tls::verify(&chain, &bundle, facts.now).and_then(|()| tls::named(&chain, host));
    if let (Err(why), None) = (verified, check.level()) {
        let message = format!("the API server does not trust the serving certificate: {why}");
        check.add(FindingCode::CertificateUntrusted, message, &installation(&facts.settings));
    }
    check
}

/// The certificates of the `caBundle`.
fn bundle(
    check: &mut Check,
    facts: &Facts,
    config: &WebhookClientConfig,
) -> Option<Vec<CertificateDer<'static>>> {
    let ByteString(pem) = config.ca_bundle.clone().unwrap_or_default();
    let bundle = certificates(&pem);
    let Some(last) = bundle
        .iter()
        .flatten()
        .filter_map(|ca| tls::validity(ca).ok())
        .max_by_key(|ca| ca.not_after)
    else {
        let message = match pem.as_slice() {
            [] => "the caBundle is empty: the API server cannot verify the webhook",
            _ => "the caBundle has something other than PEM certificates",
        };
        check.add(FindingCode::CaBundleUnusable, message, &installation(&facts.settings));
        return None;
    };
    ends(check, facts, last, "the last CA in the caBundle");
    bundle
}

/// The serving certificate and its intermediates.
fn chain(check: &mut Check, facts: &Facts) -> Option<Vec<CertificateDer<'static>>> {
    let secret = deployment::secret(facts.deployment());
    let pem = check.known(&facts.certificate)?.as_deref();
    let chain = certificates(pem.unwrap_or_default().as_bytes());
    let leaf = chain.as_ref().and_then(|chain| tls::validity(chain.first()?).ok());
    let Some(leaf) = leaf else {
        let what =
            if pem.is_some() { "has no PEM certificate in tls.crt" } else { "does not exist" };
        // Without a Deployment there may be no installation.
        if facts.deployment().is_some() {
            let message = format!("Secret {secret} {what}");
            check.add(FindingCode::CertificateMissing, message, &installation(&facts.settings));
        }
        return None;
    };
    check.summary = format!("in Secret {secret}, valid for {}", days(leaf.not_after - facts.now));
    ends(check, facts, leaf, &format!("the certificate in Secret {secret}"));
    chain
}

/// Adds a finding if a validity has ended or ends soon.
fn ends(check: &mut Check, facts: &Facts, validity: Validity, what: &str) {
    let lifetime = validity.not_after.saturating_sub(validity.not_before);
    let left = validity.not_after - facts.now;
    let names = installation(&facts.settings);
    if left <= 0 {
        check.add(FindingCode::CertificateExpired, format!("{what} has expired"), &names);
    } else if left < (lifetime / LEFT).min(LONGEST) {
        let message = format!("{what} expires in {}", days(left));
        check.add(FindingCode::CertificateExpiresSoon, message, &names);
    }
}

/// The certificates of a PEM text; `None` if one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    all.iter().all(|certificate| tls::validity(certificate).is_ok()).then_some(all)
}

/// A duration in whole days or hours.
fn days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => format!("{} h", seconds / 3600),
        days => count(usize::try_from(days).unwrap_or_default(), "day"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        certs,
        doctor::{
            Unknown,
            testing::{DAYS, change, codes, healthy},
        },
    };

    const DAY: i64 = 86_400;

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts)
    }

    fn bundle(facts: &mut Facts, pem: &str) {
        let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
        let webhook = &mut registration.webhooks.as_mut().unwrap()[0];
        webhook.client_config.ca_bundle = Some(ByteString(pem.as_bytes().to_vec()));
    }

    #[test]
    fn certificate_and_ca_are_fine_until_soon_before_their_end() {
        assert!(codes(&with(|_| {})).is_empty());
        let soon = with(|facts| facts.now += (DAYS - 13) * DAY);
        assert_eq!(codes(&soon), ["certificate-expires-soon"; 2]);
        assert!(soon.findings[0].message.starts_with("the last CA"), "{soon:?}");
        let ended = with(|facts| facts.now += (DAYS + 1) * DAY);
        assert_eq!(codes(&ended), ["certificate-expired"; 2]);
    }

    #[test]
    fn short_lived_certificate_is_fine_until_a_fifth_is_left() {
        let after = |hours: i64| {
            let issued = certs::issue(&[], 1).unwrap();
            with(|facts| {
                facts.now = certs::now() + hours * 3600;
                bundle(facts, &issued.ca);
                facts.certificate = Ok(Some(issued.certificate));
            })
        };
        assert!(codes(&after(0)).is_empty());
        // Renewal is due when 8 h are left.
        assert!(codes(&after(18)).is_empty());
        assert_eq!(codes(&after(20)), ["certificate-expires-soon"; 2]);
    }

    #[test]
    fn empty_or_broken_ca_bundle_is_unusable() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(codes(&with(|facts| bundle(facts, pem))), ["ca-bundle-unusable"], "{pem}");
        }
    }

    #[test]
    fn webhook_by_url_needs_neither_bundle_nor_secret() {
        let found = with(|facts| {
            facts.certificate = Ok(None);
            change(facts.registration.as_mut().unwrap(), |one| {
                one["webhooks"][0]["clientConfig"] = json!({"url": "https://dev.example/mutate"});
            });
        });
        assert!(codes(&found).is_empty());
    }

    #[test]
    fn other_ca_or_name_is_not_trusted() {
        let other = certs::issue(&[], 90).unwrap().certificate;
        let found = with(|facts| facts.certificate = Ok(Some(other)));
        assert_eq!(codes(&found), ["certificate-untrusted"]);
        assert!(found.findings[0].message.contains("no CA in the caBundle"), "{found:?}");
        let found = with(|facts| {
            change(facts.registration.as_mut().unwrap(), |one| {
                one["webhooks"][0]["clientConfig"]["service"]["namespace"] = json!("infra");
            });
        });
        assert!(found.findings[0].message.contains("not for arc-rocm.infra.svc"), "{found:?}");
    }

    #[test]
    fn missing_broken_or_forbidden_certificate_differ() {
        assert_eq!(codes(&with(|f| f.certificate = Ok(None))), ["certificate-missing"]);
        let broken = with(|f| f.certificate = Ok(Some("x".to_owned())));
        assert_eq!(codes(&broken), ["certificate-missing"]);
        let uninstalled = with(|f| (f.certificate, f.deployment) = (Ok(None), Ok(None)));
        assert!(codes(&uninstalled).is_empty());
        let hidden = Err(Unknown::Forbidden("get secrets arc-rocm-tls".to_owned()));
        assert_eq!(codes(&with(|f| f.certificate = hidden)), ["unknown"]);
    }
}
