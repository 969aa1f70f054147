//! Whether the serving certificate is trusted by the `caBundle`, has the right name and is valid.

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    ca_bundle::{bundle, days},
    validity::soon,
};
use crate::{
    controller::certificates::asked,
    doctor::{
        Check, Facts, FindingCode, deployment,
        facts::{found, text},
        gather::our_webhook,
    },
    tls::{self, VerifyError},
};

const RENEW: &str = "make a new certificate: deploy/README.md, \"A new certificate\"";

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("certificate");
    let deployment = found(&facts.deployment);
    let secret = format!("{}/{}", facts.settings.namespace, deployment::secret(deployment));
    let webhook = facts.registration.iter().flatten().find_map(our_webhook);
    let by_url = webhook.is_some_and(|webhook| !text(webhook, "/clientConfig/url").is_empty());
    let chain = match &facts.certificate {
        Ok(None) if by_url && deployment.is_none() => {
            "registered by URL: the certificate is not in the cluster"
                .clone_into(&mut check.summary);
            return check;
        }
        Ok(None) if deployment.is_none() => {
            check.summary = format!("Secret {secret} does not exist");
            return check;
        }
        Ok(None) => {
            let (why, remedy) = if deployment::renews(deployment) == Some(true) {
                ("the webhook has not created it", "read the webhook's log, which has the reason")
            } else {
                (
                    "the webhook's pods cannot start",
                    "create it with kubectl create secret tls, as deploy/README.md shows",
                )
            };
            let seen = format!("Secret {secret} does not exist: {why}");
            check.add(FindingCode::CertificateMissing, seen, remedy);
            return check;
        }
        Ok(Some(chain)) => chain,
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.unwrap_or_default();
    let validity = chain.first().and_then(|leaf| tls::validity(leaf).ok());
    let Some(validity) = validity else {
        check.add(
            FindingCode::CertificateBroken,
            format!("tls.crt of Secret {secret} is not a PEM certificate"),
            RENEW,
        );
        return check;
    };
    let left = validity.not_after - facts.now;
    check.summary = format!("in Secret {secret}, valid for {}", days(left));
    if left <= 0 {
        check.add(
            FindingCode::CertificateExpired,
            format!("the certificate in Secret {secret} has expired"),
            RENEW,
        );
        return check;
    }
    let renews = deployment::renews(deployment);
    if left < soon(validity, renews == Some(true)) {
        let remedy = match renews {
            Some(true) => "read the webhook's log: it should have renewed the certificate",
            Some(false) => "renew it, unless cert-manager does",
            None => "renew it, unless the webhook or cert-manager does",
        };
        check.add(
            FindingCode::CertificateExpiresSoon,
            format!("the certificate in Secret {secret} expires in {}", days(left)),
            remedy,
        );
    }
    let Some((webhook, bundle)) = webhook.and_then(|webhook| Some((webhook, bundle(webhook)?)))
    else {
        return check;
    };
    if let Err(why) = trusted(&chain, &bundle, webhook, facts.now) {
        check.add(
            FindingCode::CertificateUntrusted,
            format!("the API server does not trust the certificate in Secret {secret}: {why}"),
            "register the CA that signed it, or serve a certificate that the registered CA signed",
        );
    }
    check
}

/// The check of readiness, for the name that the API server verifies.
fn trusted(
    chain: &[CertificateDer<'static>],
    bundle: &[CertificateDer<'static>],
    webhook: &Value,
    now: i64,
) -> Result<(), VerifyError> {
    let config = WebhookClientConfig::deserialize(webhook.get("clientConfig").unwrap_or_default());
    let asked = config.ok().as_ref().and_then(asked);
    tls::verify(chain, bundle, now).and_then(|()| tls::named(chain, asked))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        certs,
        doctor::{
            Unknown,
            testing::{DAYS, codes, healthy},
        },
    };

    fn with(change: impl FnOnce(&mut Facts)) -> Check {
        let mut facts = healthy();
        change(&mut facts);
        check(&facts)
    }

    #[test]
    fn certificate_is_trusted_until_its_end() {
        let day = 86_400;
        assert!(codes(&with(|_| {})).is_empty());
        assert_eq!(codes(&with(|f| f.now += (DAYS - 13) * day)), ["certificate-expires-soon"]);
        assert_eq!(codes(&with(|f| f.now += (DAYS + 1) * day)), ["certificate-expired"]);
    }

    #[test]
    fn short_lived_certificate_is_fine_until_renewal_is_overdue() {
        let after = |hours: i64, is_own: bool| {
            let issued = certs::issue(&[], 1).unwrap();
            let found = with(|facts| {
                facts.now = certs::now() + hours * 3600;
                let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
                registration["webhooks"][0]["clientConfig"]["caBundle"] =
                    json!(base64_simd::STANDARD.encode_to_string(&issued.ca));
                facts.certificate = Ok(Some(issued.certificate));
                let deployment = facts.deployment.as_mut().unwrap().as_mut().unwrap();
                if is_own {
                    let args = "/spec/template/spec/containers/0/args";
                    *deployment.pointer_mut(args).unwrap() =
                        json!(["serve", "--tls-secret=arc-rocm-tls"]);
                }
            });
            codes(&found)
        };
        for is_own in [true, false] {
            assert!(after(0, is_own).is_empty());
            // The last replica renews when 7 h 12 min are left.
            assert!(after(17, is_own).is_empty());
            assert_eq!(after(20, is_own), ["certificate-expires-soon"]);
        }
        assert_eq!(after(19, true), ["certificate-expires-soon"]);
        assert!(after(19, false).is_empty());
    }

    #[test]
    fn other_ca_or_name_is_not_trusted() {
        let other = certs::issue(&[], 30).unwrap().certificate;
        let found = with(|facts| facts.certificate = Ok(Some(other)));
        assert_eq!(codes(&found), ["certificate-untrusted"]);
        assert!(found.findings[0].message.contains("no CA in the caBundle"), "{found:?}");

        let found = with(|facts| {
            let webhook = facts.registration.as_mut().unwrap().as_mut().unwrap();
            webhook["webhooks"][0]["clientConfig"]["service"]["namespace"] = json!("infra");
        });
        assert!(found.findings[0].message.contains("not for arc-rocm.infra.svc"), "{found:?}");
    }

    #[test]
    fn self_signed_certificate_in_the_bundle_is_trusted() {
        let own = certs::issue(&[], 30).unwrap().certificate;
        let found = with(|facts| {
            let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
            registration["webhooks"][0]["clientConfig"]["caBundle"] =
                json!(base64_simd::STANDARD.encode_to_string(&own));
            facts.certificate = Ok(Some(own));
        });
        assert!(codes(&found).is_empty(), "{found:?}");
    }

    #[test]
    fn missing_broken_or_forbidden_certificate_differ() {
        assert_eq!(codes(&with(|f| f.certificate = Ok(None))), ["certificate-missing"]);
        assert_eq!(
            codes(&with(|f| f.certificate = Ok(Some("x".to_owned())))),
            ["certificate-broken"]
        );
        let hidden = Err(Unknown::Forbidden("get secrets arc-rocm-tls".to_owned()));
        assert_eq!(codes(&with(|f| f.certificate = hidden)), ["unknown"]);
    }
}
