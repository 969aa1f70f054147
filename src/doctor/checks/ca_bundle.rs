//! Whether the `caBundle` is readable, and until when its CAs are valid.

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use super::validity::soon;
use crate::{
    doctor::{
        Check, Facts, FindingCode, deployment,
        facts::{found, text},
        gather::our_webhook,
    },
    tls,
};

pub(super) fn check(facts: &Facts) -> Check {
    let mut check = Check::new("ca-bundle");
    let webhook = match &facts.registration {
        Ok(registration) => registration.as_ref().and_then(our_webhook),
        Err(unknown) => {
            check.unknown(unknown);
            return check;
        }
    };
    let Some(webhook) = webhook else {
        "the webhook is not registered".clone_into(&mut check.summary);
        return check;
    };
    if text(webhook, "/clientConfig/caBundle").is_empty() {
        // The API server's system CAs may sign for a URL, but never for NAME.NS.svc.
        if webhook.pointer("/clientConfig/service").is_some() {
            check.add(
                FindingCode::CaBundleEmpty,
                "caBundle is empty: the API server cannot verify the webhook",
                "with --tls-secret, read the webhook's log: it sets the caBundle or logs why not; without, \
                 run arc-rocm manifests --ca FILE | kubectl apply -f -",
            );
        } else {
            "none: the API server uses its system CAs for the URL".clone_into(&mut check.summary);
        }
        return check;
    }
    let Some(bundle) = bundle(webhook) else {
        check.add(
            FindingCode::CaBundleBroken,
            "caBundle has something other than PEM certificates",
            "with --tls-secret, read the webhook's log: it repairs the caBundle or logs why not; without, \
             apply the output of arc-rocm manifests --ca FILE",
        );
        return check;
    };
    let all = bundle.iter().filter_map(|ca| tls::validity(ca).ok());
    let Some(last) = all.max_by_key(|ca| ca.not_after) else { return check };
    let left = last.not_after - facts.now;
    let deployment = found(&facts.deployment);
    check.summary = format!(
        "{} in caBundle, valid for {}",
        super::count(bundle.len(), "certificate"),
        days(left)
    );
    let renew = "with --tls-secret, read the webhook's log: it should have renewed the CA; without, make \
                 a new one: deploy/README.md, \"A new certificate\"";
    if left <= 0 {
        check.add(FindingCode::CaExpired, "every certificate in caBundle has expired", renew);
    } else if left < soon(last, deployment::renews(deployment) == Some(true)) {
        check.add(
            FindingCode::CaExpiresSoon,
            format!("the last certificate in caBundle expires in {}", days(left)),
            renew,
        );
    }
    check
}

/// The certificates of the `caBundle`; `None` if it is empty or one is broken.
pub(super) fn bundle(webhook: &Value) -> Option<Vec<CertificateDer<'static>>> {
    let bundle = text(webhook, "/clientConfig/caBundle").as_bytes();
    let pem = base64_simd::STANDARD.decode_to_vec(bundle).ok()?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().ok()?;
    let good = !all.is_empty() && all.iter().all(|certificate| tls::validity(certificate).is_ok());
    good.then_some(all)
}

/// A duration in whole days or hours.
pub(super) fn days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => format!("{} h", seconds / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::testing::{DAYS, codes, healthy};

    fn with(ca_bundle: &str, later: i64) -> Vec<&'static str> {
        let mut facts = healthy();
        facts.now += later;
        let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
        if ca_bundle != "healthy" {
            registration["webhooks"][0]["clientConfig"]["caBundle"] = json!(ca_bundle);
        }
        codes(&check(&facts))
    }

    #[test]
    fn ca_bundle_is_checked_by_its_end() {
        let day = 86_400;
        assert!(with("healthy", 0).is_empty());
        assert_eq!(with("healthy", (DAYS - 13) * day), ["ca-expires-soon"]);
        assert_eq!(with("healthy", (DAYS + 1) * day), ["ca-expired"]);
    }

    #[test]
    fn short_lived_ca_is_fine_until_renewal_is_overdue() {
        let after = |days: i64| {
            let issued = crate::certs::issue(&[], 30).unwrap();
            let mut facts = healthy();
            facts.now = crate::certs::now() + days * 86_400;
            let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
            registration["webhooks"][0]["clientConfig"]["caBundle"] =
                json!(base64_simd::STANDARD.encode_to_string(&issued.ca));
            codes(&check(&facts))
        };
        assert!(after(0).is_empty());
        assert!(after(23).is_empty());
        assert_eq!(after(25), ["ca-expires-soon"]);
    }

    #[test]
    fn empty_or_broken_ca_bundle_is_found() {
        assert_eq!(with("", 0), ["ca-bundle-empty"]);
        assert_eq!(with("aGVsbG8=", 0), ["ca-bundle-broken"]);
        assert_eq!(with("?", 0), ["ca-bundle-broken"]);
    }

    #[test]
    fn url_without_ca_bundle_is_fine() {
        let mut facts = healthy();
        let registration = facts.registration.as_mut().unwrap().as_mut().unwrap();
        registration["webhooks"][0]["clientConfig"] = json!({"url": "https://dev.example/mutate"});
        assert!(codes(&check(&facts)).is_empty());
    }
}
