//! The data of the Secret with CA certificates, CA key and serving certificate.

use std::{collections::BTreeMap, fmt};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::SanType;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    BACKDATED, IssueError, Names, SigningCa, Span, leaf,
    rotation::{self, LeafSource, Policy, SecretCerts, SecretChange},
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
    signer: Option<std::sync::Arc<SigningCa>>,
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
        let signer = cas.first().zip(text(CA_KEY)).and_then(|(certificate, key)| {
            SigningCa::read(certificate, span(certificate)?, key).map(Into::into)
        });
        let leaf = text(CERTIFICATE)
            .zip(text(KEY))
            .and_then(|(certificate, key)| ServingCert::new(certificate, key));
        Self { cas, signer, leaf }
    }

    /// The data for a Secret; `None` if a part is missing.
    pub fn data(&self) -> Option<[(&'static str, String); 4]> {
        let (signer, leaf) = (self.signer.as_ref()?, self.leaf.as_ref()?);
        Some([
            (CA_CERTIFICATE, self.ca_bundle()),
            (CA_KEY, signer.key()),
            (CERTIFICATE, leaf.certificate.clone()),
            (KEY, leaf.key.clone()),
        ])
    }

    /// The `caBundle`, PEM.
    pub fn ca_bundle(&self) -> String {
        pem(&self.cas)
    }

    /// The CA certificates.
    pub fn cas(&self) -> &[CertificateDer<'static>] {
        &self.cas
    }

    /// The server certificate.
    pub const fn leaf(&self) -> Option<&ServingCert> {
        self.leaf.as_ref()
    }

    /// The CA certificate that signs the server certificate.
    pub fn issuer(&self) -> Option<&CertificateDer<'static>> {
        issuer(self.leaf.as_ref()?, &self.cas)
    }

    /// Whether there is a certificate and a CA that can sign at `now`, in seconds since the epoch.
    /// Only a complete bundle is published and remembered.
    pub fn is_good(&self, now: i64) -> bool {
        self.leaf.is_some() && self.signer.as_ref().is_some_and(|signer| signer.span().holds(now))
    }

    /// The input of [`rotation::next`]. `more` are further CAs that may have signed the leaf.
    pub fn secret_certs(
        &self,
        names: &Names,
        more: &[CertificateDer<'static>],
    ) -> SecretCerts<CertificateDer<'static>> {
        let all: Vec<_> = self.cas.iter().chain(more).cloned().collect();
        SecretCerts {
            cas: dated(&self.cas),
            signs: self.signer.is_some(),
            leaf: self.leaf.as_ref().and_then(|leaf| {
                let chain = leaf.pair.chain();
                Some(rotation::Leaf {
                    issuer: issuer(leaf, &all).cloned(),
                    span: span(chain.first()?)?,
                    named: tls::named(chain, names.asked()).is_ok(),
                })
            }),
        }
    }

    /// Applies a change: issues what it asks for and drops what it does not keep. `memory` is the
    /// bundle of the last pass, for [`LeafSource::Memory`].
    pub fn apply(
        &self,
        memory: &Self,
        write: &SecretChange<CertificateDer<'static>>,
        names: &Names,
        policy: &Policy,
        now: i64,
    ) -> Result<Self, IssueError> {
        let signer = match &self.signer {
            Some(signer) if !write.ca => signer.clone(),
            _ => SigningCa::issue(Span::new(now, policy.ca))?.into(),
        };
        let mut cas = vec![signer.certificate().clone()];
        cas.extend(write.keep.iter().filter(|one| *one != signer.certificate()).cloned());
        let present = match write.leaf {
            LeafSource::Secret => self.leaf.clone(),
            LeafSource::Memory => memory.leaf.clone(),
            LeafSource::New => None,
        };
        let leaf = if let Some(leaf) = present {
            leaf
        } else {
            let span = Span::new(now, policy.leaf);
            // A certificate that lacks a name keeps the names that it has: two replicas with
            // different names, as during a rollout, would otherwise replace each other's.
            let others = match &self.leaf {
                Some(leaf) if write.widen => leaf.names(),
                _ => Vec::new(),
            };
            let leaf::Issued { certificate, key } = signer.leaf(span, names.and(&others))?;
            ServingCert::new(&certificate, &key).ok_or(IssueError::Unusable)?
        };
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

/// By signature alone: an expired CA counts.
fn issuer<'a>(
    leaf: &ServingCert,
    cas: &'a [CertificateDer<'static>],
) -> Option<&'a CertificateDer<'static>> {
    let chain = leaf.pair.chain();
    let created = span(chain.first()?)?.created;
    cas.iter().find(|one| tls::signed(chain, std::slice::from_ref(*one), created).is_ok())
}

/// Certificates with their validity; anything else is left out.
pub fn dated(
    certificates: &[CertificateDer<'static>],
) -> Vec<rotation::TrustedCa<CertificateDer<'static>>> {
    let dated = |one: &CertificateDer<'static>| {
        Some(rotation::TrustedCa { id: one.clone(), span: span(one)? })
    };
    certificates.iter().filter_map(dated).collect()
}

fn span(certificate: &CertificateDer<'_>) -> Option<Span> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    Some(Span {
        created: validity.not_before.timestamp().saturating_add(BACKDATED),
        not_after: validity.not_after.timestamp(),
    })
}

/// The certificates of a PEM text. Broken or other entries are left out.
pub fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_slice_iter(text.as_bytes()).map_while(Result::ok);
    all.filter(|one| span(one).is_some()).collect()
}

pub(super) fn pem<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> String {
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
    use crate::{
        certs::rotation::{RotationAction, Snapshot, next},
        tls::Validity,
    };

    const NOW: i64 = 1_800_000_000;
    const POLICY: Policy = Policy {
        ca: Duration::from_hours(900),
        leaf: Duration::from_hours(90),
        overlap: Duration::from_hours(1),
        settle: Duration::from_secs(30),
        turn: 0.0,
    };

    fn names(hosts: &[&str]) -> Names {
        Names::new(&hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// One action of a process that remembers `memory`, with all CAs settled.
    fn stepped(
        secret: &CertBundle,
        memory: &CertBundle,
        names: &Names,
        now: i64,
    ) -> Option<CertBundle> {
        let seen = Snapshot {
            secret: secret.secret_certs(names, memory.cas()),
            memory: memory.secret_certs(names, &[]),
            live: Vec::new(),
            settled: secret.cas().to_vec(),
        };
        match next(&seen, &POLICY, now) {
            RotationAction::Wait(_) => None,
            RotationAction::Write(write) => {
                Some(secret.apply(memory, &write, names, &POLICY, now).unwrap())
            }
        }
    }

    fn fresh(names: &Names) -> CertBundle {
        let none = CertBundle::default();
        stepped(&none, &none, names, NOW).unwrap()
    }

    /// The validity of the signing CA.
    fn ca(bundle: &CertBundle) -> Validity {
        tls::validity(&bundle.cas()[0]).unwrap()
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
        assert_eq!(ca(&read).not_after, NOW + 900 * 3600);
        assert!(stepped(&read, &CertBundle::default(), &names, NOW).is_none());
        let chain = read.leaf().unwrap().pair.chain();
        for asked in ["hooks.example", "192.0.2.7", "arc-rocm.arc-rocm.svc"] {
            tls::named(chain, [asked.try_into().unwrap()]).unwrap();
        }
        tls::verify(chain, read.cas(), NOW).unwrap();
        tls::verify(chain, read.cas(), NOW + 91 * 3600).unwrap_err();
    }

    #[test]
    fn bundle_with_missing_part_or_expired_ca_is_not_good() {
        let bundle = fresh(&names(&[]));
        let end = ca(&bundle).not_after;
        assert!(bundle.is_good(NOW) && bundle.is_good(end - 1));
        assert!(!bundle.is_good(end));
        for missing in [CA_KEY, CA_CERTIFICATE, KEY, CERTIFICATE] {
            let mut data = written(&bundle);
            data.remove(missing);
            assert!(!CertBundle::read(&data).is_good(NOW), "{missing}");
        }
    }

    #[test]
    fn rotation_replaces_ca_with_a_trusted_chain_at_each_step() {
        let names = names(&[]);
        let (none, first) = (CertBundle::default(), fresh(&names));
        let now = NOW + 601 * 3600;
        let renewed = stepped(&first, &none, &names, NOW + 70 * 3600).unwrap();
        assert_eq!(renewed.cas(), first.cas());
        // By then the certificate has expired as well.
        let both = stepped(&renewed, &none, &names, now).unwrap();
        assert_eq!(both.cas()[1..], *first.cas());
        assert_eq!(both.issuer(), both.cas().first());
        assert!(stepped(&both, &none, &names, now).is_none());
        let alone = stepped(&both, &none, &names, now + 3600).unwrap();
        assert_eq!(alone.cas(), &both.cas()[..1]);
        assert_eq!(written(&alone)[KEY], written(&both)[KEY], "the certificate stays");
    }

    #[test]
    fn deleted_secret_keeps_remembered_certificate_until_new_ca_signs() {
        let names = names(&[]);
        let old = fresh(&names);
        let anew = stepped(&CertBundle::default(), &old, &names, NOW + 60).unwrap();
        assert_eq!(anew.cas()[1..], *old.cas());
        assert_eq!(written(&anew)[KEY], written(&old)[KEY]);
        assert_ne!(written(&anew)[CA_KEY], written(&old)[CA_KEY]);
        let next = stepped(&anew, &old, &names, NOW + 90).unwrap();
        assert_eq!(next.issuer(), next.cas().first());
        assert_ne!(written(&next)[KEY], written(&old)[KEY]);
    }

    #[test]
    fn broken_secret_part_is_replaced_and_the_rest_kept() {
        let (names, none) = (names(&[]), CertBundle::default());
        let good = written(&fresh(&names));
        let other = written(&fresh(&names));
        for key in [CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY] {
            for bad in [b"".to_vec(), b"\xff".to_vec(), other[key].clone()] {
                let mut data = good.clone();
                data.insert(key.to_owned(), bad.clone());
                let broken = CertBundle::read(&data);
                let mended = stepped(&broken, &none, &names, NOW).unwrap();
                let mended = CertBundle::read(&written(&mended));
                assert!(mended.issuer().is_some(), "{key} {bad:?}");
                assert!(broken.cas().iter().all(|one| mended.cas().contains(one)));
            }
        }
    }

    #[test]
    fn replicas_with_different_names_agree_on_one_certificate() {
        let (one, two, none) =
            (names(&["one.example"]), names(&["two.example"]), CertBundle::default());
        let first = fresh(&one);
        let both = stepped(&first, &none, &two, NOW).unwrap();
        assert!(stepped(&both, &none, &one, NOW).is_none());
        assert!(stepped(&both, &none, &two, NOW).is_none());
        assert_eq!(both.cas(), first.cas());
    }

    #[test]
    fn certificate_never_outlives_its_ca() {
        let policy = Policy { leaf: Duration::from_hours(9000), ..POLICY };
        let write =
            SecretChange { ca: true, keep: Vec::new(), leaf: LeafSource::New, widen: false };
        let none = CertBundle::default();
        let bundle = none.apply(&none, &write, &names(&[]), &policy, NOW).unwrap();
        assert_eq!(bundle.leaf().unwrap().pair.leaf, ca(&bundle));
    }

    #[test]
    fn debug_output_has_no_private_key() {
        let output = format!("{:?}", fresh(&names(&[])));
        assert!(output.contains("ServingCert { .. }") && !output.contains("PRIVATE"), "{output}");
    }
}
