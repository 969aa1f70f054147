//! The serving certificate in its Secret: does the `caBundle` vouch for it, by what name, how long.

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    authority::{bundle, days},
    validity::soon,
};
use crate::{
    cluster::{
        certificates::asked,
        doctor::{
            Check, Code, Facts, deployment,
            facts::{found, text},
            gather::ours,
        },
    },
    tls::{self, Distrust},
};

const RENEW: &str = "make a new one: deploy/README.md, \"A new certificate\"";

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("certificate");
    let deployment = found(&facts.deployment);
    let secret = format!("{}/{}", facts.settings.namespace, deployment::secret(deployment));
    let webhook = facts.registration.iter().flatten().find_map(ours);
    let by_url = webhook.is_some_and(|webhook| !text(webhook, "/clientConfig/url").is_empty());
    let chain = match &facts.certificate {
        Ok(None) if by_url && deployment.is_none() => {
            "registered by URL: its files are not in the cluster".clone_into(&mut check.summary);
            return check;
        }
        Ok(None) if deployment.is_none() => {
            check.summary = format!("there is no Secret {secret}");
            return check;
        }
        Ok(None) => {
            let (why, remedy) = if deployment::renews(deployment) == Some(true) {
                ("the webhook has not made it", "its log says why")
            } else {
                (
                    "the webhook's pods cannot start",
                    "kubectl create secret tls, as deploy/README.md says",
                )
            };
            let seen = format!("there is no Secret {secret}: {why}");
            check.add(Code::CertificateMissing, seen, remedy);
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
            Code::CertificateBroken,
            format!("tls.crt of Secret {secret} is no PEM certificate"),
            RENEW,
        );
        return check;
    };
    let left = validity.not_after - facts.now;
    check.summary = format!("in Secret {secret}, valid for {}", days(left));
    if left <= 0 {
        check.add(
            Code::CertificateExpired,
            format!("the certificate in Secret {secret} has expired"),
            RENEW,
        );
        return check;
    }
    let renews = deployment::renews(deployment);
    if left < soon(validity, renews == Some(true)) {
        let remedy = match renews {
            Some(true) => "the webhook should have made a new one, and its log says why it did not",
            Some(false) => "renew it, unless cert-manager does",
            None => "renew it, unless the webhook or cert-manager does",
        };
        check.add(
            Code::CertificateExpiresSoon,
            format!("the certificate in Secret {secret} is valid for {} more", days(left)),
            remedy,
        );
    }
    let Some((webhook, bundle)) = webhook.and_then(|webhook| Some((webhook, bundle(webhook)?)))
    else {
        return check;
    };
    if let Err(why) = trusted(&chain, &bundle, webhook, facts.now) {
        check.add(
            Code::CertificateUntrusted,
            format!("the API server will not trust the certificate in Secret {secret}: {why}"),
            "register the authority that signed it, or serve the pair that belongs to it",
        );
    }
    check
}

/// As readiness has it, for the name that the API server asks for.
fn trusted(
    chain: &[CertificateDer<'static>],
    bundle: &[CertificateDer<'static>],
    webhook: &Value,
    now: i64,
) -> Result<(), Distrust> {
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
        cluster::doctor::{
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
    fn the_pair_that_belongs_to_the_bundle_is_trusted_until_its_end() {
        let day = 86_400;
        assert!(codes(&with(|_| {})).is_empty());
        assert_eq!(codes(&with(|f| f.now += (DAYS - 13) * day)), ["certificate-expires-soon"]);
        assert_eq!(codes(&with(|f| f.now += (DAYS + 1) * day)), ["certificate-expired"]);
    }

    #[test]
    fn a_certificate_of_a_day_is_well_until_its_renewal_is_overdue() {
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
            // The last replica's turn is when 7 h 12 min are left.
            assert!(after(17, is_own).is_empty());
            assert_eq!(after(20, is_own), ["certificate-expires-soon"]);
        }
        assert_eq!(after(19, true), ["certificate-expires-soon"]);
        assert!(after(19, false).is_empty());
    }

    #[test]
    fn another_authority_or_another_name_is_not_trusted() {
        let other = certs::issue(&[], 30).unwrap().certificate;
        let found = with(|facts| facts.certificate = Ok(Some(other)));
        assert_eq!(codes(&found), ["certificate-untrusted"]);
        assert!(found.findings[0].message.contains("no authority"), "{found:?}");

        let found = with(|facts| {
            let webhook = facts.registration.as_mut().unwrap().as_mut().unwrap();
            webhook["webhooks"][0]["clientConfig"]["service"]["namespace"] = json!("infra");
        });
        assert!(found.findings[0].message.contains("not for arc-rocm.infra.svc"), "{found:?}");
    }

    #[test]
    fn a_certificate_that_is_its_own_bundle_is_trusted_as_the_api_server_does() {
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
    fn what_is_missing_broken_or_hidden_is_told_apart() {
        assert_eq!(codes(&with(|f| f.certificate = Ok(None))), ["certificate-missing"]);
        assert_eq!(
            codes(&with(|f| f.certificate = Ok(Some("x".to_owned())))),
            ["certificate-broken"]
        );
        let hidden = Err(Unknown::Forbidden("get secrets arc-rocm-tls".to_owned()));
        assert_eq!(codes(&with(|f| f.certificate = hidden)), ["unknown"]);
    }
}
