//! The Secret that holds an authority and a certificate of it: reading and writing its data.

use std::{collections::BTreeMap, fmt};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::SanType;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    Authority, BACKDATED, IssueError, Names, Span, leaf,
    rotation::{self, Held, Policy, Source, Write},
};
use crate::tls::{self, Pair};

/// The authorities' certificates, PEM: the one that signs first, then older ones.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// The private key of the first of them, PEM.
pub const CA_KEY: &str = "ca.key";
/// The server's certificate, PEM.
pub const CERTIFICATE: &str = "tls.crt";
/// Its private key, PEM.
pub const KEY: &str = "tls.key";

/// Data of a Secret, as far as it can be used.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    authorities: Vec<CertificateDer<'static>>,
    /// The first of them with its key, if that is there.
    signer: Option<std::sync::Arc<Authority>>,
    leaf: Option<KeptLeaf>,
}

/// A server certificate with its key.
#[derive(Clone)]
pub struct KeptLeaf {
    certificate: String,
    key: String,
    /// Ready for use.
    pub pair: Pair,
}

impl Kept {
    /// Reads the data of a Secret. What is missing or broken is left out.
    pub fn read(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let text = |name: &str| data.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let authorities = text(CA_CERTIFICATE).map(certificates).unwrap_or_default();
        let signer = authorities.first().zip(text(CA_KEY)).and_then(|(certificate, key)| {
            Authority::read(certificate, span(certificate)?, key).map(Into::into)
        });
        let leaf = text(CERTIFICATE)
            .zip(text(KEY))
            .and_then(|(certificate, key)| KeptLeaf::new(certificate, key));
        Self { authorities, signer, leaf }
    }

    /// The data for a Secret; `None` if it is not complete.
    pub fn data(&self) -> Option<[(&'static str, String); 4]> {
        let (signer, leaf) = (self.signer.as_ref()?, self.leaf.as_ref()?);
        Some([
            (CA_CERTIFICATE, self.bundle()),
            (CA_KEY, signer.key()),
            (CERTIFICATE, leaf.certificate.clone()),
            (KEY, leaf.key.clone()),
        ])
    }

    /// What the API server is to trust, PEM.
    pub fn bundle(&self) -> String {
        pem(&self.authorities)
    }

    /// The same, one by one.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The server certificate.
    pub const fn leaf(&self) -> Option<&KeptLeaf> {
        self.leaf.as_ref()
    }

    /// Which of the authorities has signed the server certificate.
    pub fn issuer(&self) -> Option<&CertificateDer<'static>> {
        issuer(self.leaf.as_ref()?, &self.authorities)
    }

    /// Whether there is a certificate, and an authority that can sign at that time, in seconds since
    /// the epoch. Where not, this is no state to go by: others must not lose their trust for it.
    pub fn is_good(&self, now: i64) -> bool {
        self.leaf.is_some() && self.signer.as_ref().is_some_and(|signer| signer.span().holds(now))
    }

    /// What [`rotation::next`] looks at. `more` are authorities that the leaf may be of, beside
    /// those that are here.
    pub fn held(
        &self,
        names: &Names,
        more: &[CertificateDer<'static>],
    ) -> Held<CertificateDer<'static>> {
        let all: Vec<_> = self.authorities.iter().chain(more).cloned().collect();
        Held {
            authorities: dated(&self.authorities),
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

    /// Carries a step out: issues what it asks for, and leaves out what it does not keep.
    /// `memory` is what was kept before, for a leaf that is recalled.
    pub fn step(
        &self,
        memory: &Self,
        write: &Write<CertificateDer<'static>>,
        names: &Names,
        policy: &Policy,
        now: i64,
    ) -> Result<Self, IssueError> {
        let signer = match &self.signer {
            Some(signer) if !write.authority => signer.clone(),
            _ => Authority::issue(Span::new(now, policy.authority))?.into(),
        };
        let mut authorities = vec![signer.certificate().clone()];
        authorities.extend(write.keep.iter().filter(|one| *one != signer.certificate()).cloned());
        let present = match write.leaf {
            Source::Secret => self.leaf.clone(),
            Source::Memory => memory.leaf.clone(),
            Source::New => None,
        };
        let leaf = if let Some(leaf) = present {
            leaf
        } else {
            let span = Span::new(now, policy.leaf);
            // A certificate that only lacks a name keeps those that it has: two replicas with
            // different names, as during a rollout, would else take them from each other.
            let others = match &self.leaf {
                Some(leaf) if write.widen => leaf.names(),
                _ => Vec::new(),
            };
            let leaf::Issued { certificate, key } = signer.leaf(span, names.and(&others))?;
            KeptLeaf::new(&certificate, &key).ok_or(IssueError::Unusable)?
        };
        Ok(Self { authorities, signer: Some(signer), leaf: Some(leaf) })
    }
}

impl KeptLeaf {
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

/// By signature alone: what has ended was signed all the same.
fn issuer<'a>(
    leaf: &KeptLeaf,
    authorities: &'a [CertificateDer<'static>],
) -> Option<&'a CertificateDer<'static>> {
    let chain = leaf.pair.chain();
    let created = span(chain.first()?)?.created;
    authorities.iter().find(|one| tls::signed(chain, std::slice::from_ref(*one), created).is_ok())
}

/// Certificates with their validity; what is no certificate is left out.
pub fn dated(
    certificates: &[CertificateDer<'static>],
) -> Vec<rotation::Authority<CertificateDer<'static>>> {
    let dated = |one: &CertificateDer<'static>| {
        Some(rotation::Authority { id: one.clone(), span: span(one)? })
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

/// The certificates of a PEM text. What is broken or something else is left out.
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
impl fmt::Debug for KeptLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptLeaf").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        certs::rotation::{Seen, Step, next},
        tls::Validity,
    };

    const NOW: i64 = 1_800_000_000;
    const POLICY: Policy = Policy {
        authority: Duration::from_hours(900),
        leaf: Duration::from_hours(90),
        overlap: Duration::from_hours(1),
        settle: Duration::from_secs(30),
        turn: 0.0,
    };

    fn names(hosts: &[&str]) -> Names {
        Names::new(&hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// One step of a process that remembers `memory` and has seen all authorities settle.
    fn stepped(secret: &Kept, memory: &Kept, names: &Names, now: i64) -> Option<Kept> {
        let seen = Seen {
            secret: secret.held(names, memory.authorities()),
            memory: memory.held(names, &[]),
            live: Vec::new(),
            settled: secret.authorities().to_vec(),
        };
        match next(&seen, &POLICY, now) {
            Step::Wait(_) => None,
            Step::Write(write) => Some(secret.step(memory, &write, names, &POLICY, now).unwrap()),
        }
    }

    fn fresh(names: &Names) -> Kept {
        let none = Kept::default();
        stepped(&none, &none, names, NOW).unwrap()
    }

    /// How long the authority that signs is valid.
    fn ca(kept: &Kept) -> Validity {
        tls::validity(&kept.authorities()[0]).unwrap()
    }

    fn written(kept: &Kept) -> BTreeMap<String, Vec<u8>> {
        let data = kept.data().unwrap();
        data.into_iter().map(|(key, text)| (key.to_owned(), text.into_bytes())).collect()
    }

    #[test]
    fn what_is_written_is_read_again_and_there_is_nothing_more_to_do() {
        let names = names(&["hooks.example", "192.0.2.7"]);
        let kept = fresh(&names);
        let read = Kept::read(&written(&kept));
        assert_eq!(written(&read), written(&kept));
        assert_eq!(read.issuer(), read.authorities().first());
        assert_eq!(ca(&read).not_after, NOW + 900 * 3600);
        assert!(stepped(&read, &Kept::default(), &names, NOW).is_none());
        let chain = read.leaf().unwrap().pair.chain();
        for asked in ["hooks.example", "192.0.2.7", "arc-rocm.arc-rocm.svc"] {
            tls::named(chain, [asked.try_into().unwrap()]).unwrap();
        }
        tls::verify(chain, read.authorities(), NOW).unwrap();
        tls::verify(chain, read.authorities(), NOW + 91 * 3600).unwrap_err();
    }

    #[test]
    fn neither_half_a_secret_nor_one_whose_authority_has_ended_is_a_state_to_go_by() {
        let kept = fresh(&names(&[]));
        let end = ca(&kept).not_after;
        assert!(kept.is_good(NOW) && kept.is_good(end - 1));
        assert!(!kept.is_good(end));
        for missing in [CA_KEY, CA_CERTIFICATE, KEY, CERTIFICATE] {
            let mut data = written(&kept);
            data.remove(missing);
            assert!(!Kept::read(&data).is_good(NOW), "{missing}");
        }
    }

    #[test]
    fn a_rotation_goes_from_one_authority_to_the_next_with_a_chain_at_each_step() {
        let names = names(&[]);
        let (none, first) = (Kept::default(), fresh(&names));
        let now = NOW + 601 * 3600;
        let renewed = stepped(&first, &none, &names, NOW + 70 * 3600).unwrap();
        assert_eq!(renewed.authorities(), first.authorities());
        // The certificate has ended as well by then, and so there is nothing to go on with.
        let both = stepped(&renewed, &none, &names, now).unwrap();
        assert_eq!(both.authorities()[1..], *first.authorities());
        assert_eq!(both.issuer(), both.authorities().first());
        assert!(stepped(&both, &none, &names, now).is_none());
        let alone = stepped(&both, &none, &names, now + 3600).unwrap();
        assert_eq!(alone.authorities(), &both.authorities()[..1]);
        assert_eq!(written(&alone)[KEY], written(&both)[KEY], "the certificate stays");
    }

    #[test]
    fn a_deleted_secret_is_replaced_with_the_remembered_certificate_until_the_new_ca_signs() {
        let names = names(&[]);
        let old = fresh(&names);
        let anew = stepped(&Kept::default(), &old, &names, NOW + 60).unwrap();
        assert_eq!(anew.authorities()[1..], *old.authorities());
        assert_eq!(written(&anew)[KEY], written(&old)[KEY]);
        assert_ne!(written(&anew)[CA_KEY], written(&old)[CA_KEY]);
        let next = stepped(&anew, &old, &names, NOW + 90).unwrap();
        assert_eq!(next.issuer(), next.authorities().first());
        assert_ne!(written(&next)[KEY], written(&old)[KEY]);
    }

    #[test]
    fn what_is_broken_in_a_secret_is_replaced_and_the_rest_stays_trusted() {
        let (names, none) = (names(&[]), Kept::default());
        let good = written(&fresh(&names));
        let other = written(&fresh(&names));
        for key in [CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY] {
            for bad in [b"".to_vec(), b"\xff".to_vec(), other[key].clone()] {
                let mut data = good.clone();
                data.insert(key.to_owned(), bad.clone());
                let broken = Kept::read(&data);
                let mended = stepped(&broken, &none, &names, NOW).unwrap();
                let mended = Kept::read(&written(&mended));
                assert!(mended.issuer().is_some(), "{key} {bad:?}");
                assert!(broken.authorities().iter().all(|one| mended.authorities().contains(one)));
            }
        }
    }

    #[test]
    fn replicas_with_different_names_agree_on_a_certificate_for_all_of_them() {
        let (one, two, none) = (names(&["one.example"]), names(&["two.example"]), Kept::default());
        let first = fresh(&one);
        let both = stepped(&first, &none, &two, NOW).unwrap();
        assert!(stepped(&both, &none, &one, NOW).is_none());
        assert!(stepped(&both, &none, &two, NOW).is_none());
        assert_eq!(both.authorities(), first.authorities());
    }

    #[test]
    fn a_certificate_ends_with_its_authority_at_the_latest() {
        let policy = Policy { leaf: Duration::from_hours(9000), ..POLICY };
        let write = Write { authority: true, keep: Vec::new(), leaf: Source::New, widen: false };
        let none = Kept::default();
        let kept = none.step(&none, &write, &names(&[]), &policy, NOW).unwrap();
        assert_eq!(kept.leaf().unwrap().pair.leaf, ca(&kept));
    }

    #[test]
    fn debugging_output_has_no_private_key() {
        let told = format!("{:?}", fresh(&names(&[])));
        assert!(told.contains("KeptLeaf { .. }") && !told.contains("PRIVATE"), "{told}");
    }
}
