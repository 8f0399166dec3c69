//! Tells when a store is reached over plain HTTP, once in a run.

use crate::cli::open::session::Session;
use crate::format::identity::Cipher;
use crate::net::PlainHost;

impl Session {
    /// Warns of hosts that were asked over plain HTTP since the last time. The data of an encrypted
    /// store is safe on the way; a password or a token is not.
    ///
    /// This machine itself is left out: nobody is on the way.
    pub(in crate::cli) fn tell_of_plain_http(&self, cipher: Cipher) {
        for plain in self.plain_hosts.untold() {
            if let (false, Some(warning)) = (plain.is_here, warning(&plain, cipher)) {
                self.output.warn(warning);
            }
        }
    }

    /// Notes at a new store that is not encrypted that it is reached over plain HTTP, on this
    /// machine too: what listens there may pass the data on.
    pub(in crate::cli) fn note_plain_http(&self) {
        for PlainHost { host, is_here, .. } in self.plain_hosts.all() {
            if is_here {
                self.output.note(format_args!(
                    "it is reached at http://{host}: names and contents of files go there in the \
                     clear"
                ));
            }
        }
    }
}

fn warning(plain: &PlainHost, cipher: Cipher) -> Option<String> {
    let host = &plain.host;
    let login = "the password or token of the store";
    match (cipher, plain.with_secret) {
        (Cipher::None, with_secret) => Some(format!(
            "names and contents of files go to http://{host} in the clear, {}and anyone on the way \
             can read and change them; use an address with https, or an encrypted store \
             (--encrypt-pass-file FILE)",
            if with_secret {
                format!("with {login}, ")
            } else {
                String::new()
            }
        )),
        (Cipher::Aes256Cfb, true) => Some(format!(
            "{login} goes to http://{host} in the clear, and anyone on the way can use it; use an \
             address with https"
        )),
        (Cipher::Aes256Cfb, false) => None,
    }
}
