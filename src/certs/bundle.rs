//! The data of the Secret with CA certificates, CA key and serving certificate.

use std::{collections::BTreeMap, fmt, sync::Arc};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::SanType;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    IssueError, Names, SigningCa,
    rotation::{MAX_CAS, Policy, Renewal},
    validity,
};
use crate::tls::{self, Pair};

/// The CA certificates, PEM: the signing one first, then older ones.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// The private key of the first CA certificate, PEM.
pub const CA_KEY: &str = "ca.key";
/// The server's certificate, PEM.
pub const CERTIFICATE: &str = "tls.crt";
/// Its private key, PEM.
pub const KEY: &str = "tls.key";

/// The usable data of the Secret.
#[derive(Clone, Debug, Default)]
pub struct CertBundle {
    cas: Vec<CertificateDer<'static>>,
    /// The first CA with its key.
    signer: Option<Arc<SigningCa>>,
    leaf: Option<ServingCert>,
}

/// A server certificate with its key.
#[derive(Clone)]
pub struct ServingCert {
    certificate: String,
    key: String,
    /// Both, parsed.
    pub pair: Pair,
}

impl CertBundle {
    /// Reads the data of a Secret. A missing or broken part is left out.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let text = |name: &str| data.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let cas = text(CA_CERTIFICATE).map(certificates).unwrap_or_default();
        let signer = cas.first().zip(text(CA_KEY));
        let signer = signer.and_then(|(certificate, key)| SigningCa::read(certificate, key));
        let leaf = text(CERTIFICATE)
            .zip(text(KEY))
            .and_then(|(certificate, key)| ServingCert::new(certificate, key));
        Self { cas, signer: signer.map(Into::into), leaf }
    }

    /// The data for a Secret; `None` if a part is missing.
    pub fn data(&self) -> Option<[(&'static str, String); 4]> {
        let (signer, leaf) = (self.signer.as_ref()?, self.leaf.as_ref()?);
        Some([
            (CA_CERTIFICATE, pem(&self.cas)),
            (CA_KEY, signer.key()),
            (CERTIFICATE, leaf.certificate.clone()),
            (KEY, leaf.key.clone()),
        ])
    }

    /// The CA certificates.
    pub fn cas(&self) -> &[CertificateDer<'static>] {
        &self.cas
    }

    /// The CA that can sign.
    pub fn signer(&self) -> Option<&SigningCa> {
        self.signer.as_deref()
    }

    /// The server certificate.
    pub const fn leaf(&self) -> Option<&ServingCert> {
        self.leaf.as_ref()
    }

    /// The CA certificate that signs the server certificate.
    pub fn issuer(&self) -> Option<&CertificateDer<'static>> {
        let leaf = &self.leaf.as_ref()?.pair;
        let signs = |one: &&CertificateDer<'static>| {
            tls::signed(leaf.chain(), std::slice::from_ref(*one), leaf.leaf.not_before).is_ok()
        };
        self.cas.iter().find(signs)
    }

    /// Whether the CAs verify the server certificate at `now`, in seconds since the epoch. Only then it is
    /// published.
    pub fn is_usable(&self, now: i64) -> bool {
        let chain = self.leaf.as_ref().map_or(&[] as &[_], |leaf| leaf.pair.chain());
        tls::verify(chain, &self.cas, now).is_ok()
    }

    /// Issues what `renewal` asks for. CAs that have not ended stay behind a new one.
    pub fn renew(
        &self,
        renewal: Renewal,
        names: &Names,
        policy: &Policy,
        now: i64,
    ) -> Result<Self, IssueError> {
        let signer = match (renewal, &self.signer) {
            (Renewal::Leaf, Some(signer)) => Arc::clone(signer),
            _ => SigningCa::issue(validity(now, policy.ca))?.into(),
        };
        let is_kept = |ca: &&CertificateDer<'static>| {
            *ca != signer.certificate() && tls::validity(ca).is_ok_and(|ca| now <= ca.not_after)
        };
        let older = self.cas.iter().filter(is_kept).take(MAX_CAS - 1);
        let cas = [signer.certificate()].into_iter().chain(older).cloned().collect();
        // The names of the old certificate stay: two replicas with different names, as during a rollout,
        // would otherwise replace each other's.
        let old = self.leaf.as_ref().map(ServingCert::names).unwrap_or_default();
        let (certificate, key) = signer.leaf(validity(now, policy.leaf), names.and(&old))?;
        let leaf = ServingCert::new(&certificate, &key).ok_or(IssueError::Unusable)?;
        Ok(Self { cas, signer: Some(signer), leaf: Some(leaf) })
    }
}

impl ServingCert {
    fn new(certificate: &str, key: &str) -> Option<Self> {
        let pair = Pair::from_pem(certificate.as_bytes(), key.as_bytes()).ok()?;
        Some(Self { certificate: certificate.to_owned(), key: key.to_owned(), pair })
    }

    fn names(&self) -> Vec<SanType> {
        let Some(leaf) = self.pair.chain().first() else { return Vec::new() };
        let Ok((_, parsed)) = parse_x509_certificate(leaf) else { return Vec::new() };
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| &names.value.general_names);
        names.into_iter().flatten().filter_map(san).collect()
    }
}

fn san(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).try_into().ok()?)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(Into::into);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(Into::into));
            Some(SanType::IpAddress(address.ok()?))
        }
        _ => None,
    }
}

/// The certificates of a PEM text. Broken or other entries are left out.
pub fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_slice_iter(text.as_bytes()).map_while(Result::ok);
    all.filter(|one| tls::validity(one).is_ok()).collect()
}

/// Certificates as PEM text.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    let all: Vec<Pem> =
        certificates.into_iter().map(|one| Pem::new("CERTIFICATE", one.to_vec())).collect();
    pem::encode_many_config(&all, EncodeConfig::new().set_line_ending(LineEnding::LF))
        .replace("\n\n", "\n")
}

/// Without the key.
impl fmt::Debug for ServingCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCert").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::certs::rotation::renewal;

    const NOW: i64 = 1_800_000_000;
    const POLICY: Policy = Policy {
        ca: Duration::from_hours(900),
        leaf: Duration::from_hours(90),
        settle: Duration::from_secs(30),
        jitter: 0,
    };

    fn names(hosts: &[&str]) -> Names {
        Names::new(&hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn fresh(names: &Names) -> CertBundle {
        CertBundle::default().renew(Renewal::Ca, names, &POLICY, NOW).unwrap()
    }

    fn written(bundle: &CertBundle) -> BTreeMap<String, Vec<u8>> {
        let data = bundle.data().unwrap();
        data.into_iter().map(|(key, text)| (key.to_owned(), text.into_bytes())).collect()
    }

    #[test]
    fn bundle_survives_write_and_read() {
        let names = names(&["hooks.example", "192.0.2.7"]);
        let bundle = fresh(&names);
        let read = CertBundle::read(&written(&bundle));
        assert_eq!(written(&read), written(&bundle));
        assert_eq!(read.issuer(), read.cas().first());
        assert_eq!(read.signer().unwrap().validity().not_after, NOW + 900 * 3600);
        assert_eq!(renewal(&read, &names, &POLICY, NOW), None);
        let chain = read.leaf().unwrap().pair.chain();
        for asked in ["hooks.example", "192.0.2.7", "arc-rocm.arc-rocm.svc"] {
            tls::named(chain, [asked.try_into().unwrap()]).unwrap();
        }
        for at in [NOW - 3599, NOW, NOW + 90 * 3600] {
            tls::verify(chain, read.cas(), at).unwrap();
        }
        for at in [NOW - 3601, NOW + 90 * 3600 + 1] {
            tls::verify(chain, read.cas(), at).unwrap_err();
        }
    }

    #[test]
    fn bundle_with_missing_or_ended_part_is_not_usable() {
        let bundle = fresh(&names(&[]));
        assert!(bundle.is_usable(NOW) && !bundle.is_usable(NOW + 901 * 3600));
        for missing in [CA_CERTIFICATE, KEY, CERTIFICATE] {
            let mut data = written(&bundle);
            data.remove(missing);
            assert!(!CertBundle::read(&data).is_usable(NOW), "{missing}");
        }
    }

    #[test]
    fn broken_secret_part_is_replaced_and_the_rest_kept() {
        let names = names(&[]);
        let good = written(&fresh(&names));
        let other = written(&fresh(&names));
        for key in [CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY] {
            for bad in [b"".to_vec(), b"\xff".to_vec(), other[key].clone()] {
                let mut data = good.clone();
                data.insert(key.to_owned(), bad.clone());
                let broken = CertBundle::read(&data);
                let what = renewal(&broken, &names, &POLICY, NOW).unwrap();
                let is_of_ca = [CA_CERTIFICATE, CA_KEY].contains(&key);
                assert_eq!(what == Renewal::Ca, is_of_ca, "{key} {bad:?}");
                let mended = broken.renew(what, &names, &POLICY, NOW).unwrap();
                let mended = CertBundle::read(&written(&mended));
                assert!(mended.is_usable(NOW), "{key} {bad:?}");
                assert!(broken.cas().iter().all(|one| mended.cas().contains(one)));
            }
        }
    }

    #[test]
    fn replicas_with_different_names_agree_on_one_certificate() {
        let (one, two) = (names(&["one.example"]), names(&["two.example"]));
        let first = fresh(&one);
        assert_eq!(renewal(&first, &two, &POLICY, NOW), Some(Renewal::Leaf));
        let both = first.renew(Renewal::Leaf, &two, &POLICY, NOW).unwrap();
        for names in [&one, &two] {
            assert_eq!(renewal(&both, names, &POLICY, NOW), None);
        }
        assert_eq!(both.cas(), first.cas());
    }

    #[test]
    fn certificate_never_outlives_its_ca() {
        let policy = Policy { leaf: Duration::from_hours(9000), ..POLICY };
        let none = CertBundle::default();
        let bundle = none.renew(Renewal::Ca, &names(&[]), &policy, NOW).unwrap();
        let ca = bundle.signer().unwrap().validity();
        assert_eq!(bundle.leaf().unwrap().pair.leaf.not_after, ca.not_after);
    }

    #[test]
    fn debug_output_has_no_private_key() {
        let output = format!("{:?}", fresh(&names(&[])));
        assert!(output.contains("ServingCert { .. }") && !output.contains("PRIVATE"), "{output}");
    }
}
