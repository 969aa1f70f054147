//! The `caBundle`: what the API server trusts.

use rustls_pki_types::{CertificateDer, pem, pem::PemObject};
use x509_parser::parse_x509_certificate;

/// Characters in a line of PEM.
const WIDTH: usize = 64;

/// Why a file is not usable as `caBundle`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The PEM is broken.
    #[error("cannot read the certificates")]
    Pem(#[source] pem::Error),
    /// The file has no certificate.
    #[error("it has no CERTIFICATE")]
    Empty,
    /// The PEM holds no X.509 certificate.
    #[error("certificate {0} is not X.509")]
    NotX509(usize),
}

/// The certificates of a PEM text and nothing else: no comments, and no private key from the same
/// file. A rotation needs two CAs side by side.
pub fn bundle(text: &[u8]) -> Result<String, BundleError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(BundleError::Pem)?;
    if certificates.is_empty() {
        return Err(BundleError::Empty);
    }
    let mut bundle = String::new();
    for (index, certificate) in certificates.iter().enumerate() {
        parse_x509_certificate(certificate).map_err(|_| BundleError::NotX509(index + 1))?;
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        for (index, character) in
            base64_simd::STANDARD.encode_to_string(certificate).chars().enumerate()
        {
            if index > 0 && index % WIDTH == 0 {
                bundle.push('\n');
            }
            bundle.push(character);
        }
        bundle.push_str("\n-----END CERTIFICATE-----\n");
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{self, Issued};

    #[test]
    fn bundle_has_only_certificates() {
        let Issued { ca, certificate, key } = certs::issue(&[], 1).unwrap();
        let ca = ca.replace("\r\n", "\n");
        assert_eq!(bundle(ca.as_bytes()).unwrap(), ca);
        let mixed = format!("# a comment\n{key}{ca}{certificate}");
        assert_eq!(
            bundle(mixed.as_bytes()).unwrap(),
            format!("{ca}{}", certificate.replace("\r\n", "\n"))
        );
    }

    #[test]
    fn bundle_without_certificate_is_refused() {
        let is = |text: &str| bundle(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(is(""), "it has no CERTIFICATE");
        assert_eq!(is("hello"), "it has no CERTIFICATE");
        let wrap = |text: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        assert_eq!(is(&wrap("aGVsbG8=")), "certificate 1 is not X.509");
        assert_eq!(is(&wrap("!")), "cannot read the certificates");
        let cut = certs::issue(&[], 1).unwrap().ca;
        assert_eq!(is(cut.split_at(cut.len() - 30).0), "cannot read the certificates");
    }
}
