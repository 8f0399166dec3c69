//! Requests that are sent and waited for one at a time.

use super::connection::{Awaited, SessionCall};
use super::trouble::SftpTrouble;
use super::wire::{self, Request, SftpAnswer, SftpAttributes};

pub(super) fn open(session: &SessionCall, request: Request<'_>) -> Result<Vec<u8>, SftpTrouble> {
    match session.ask(request)?.wait()? {
        SftpAnswer::Handle(handle) => Ok(handle),
        SftpAnswer::Status { code, words } => Err(SftpTrouble::Status { code, words }),
        _ => Err(SftpTrouble::Odd),
    }
}

pub(super) fn attributes(
    session: &SessionCall,
    request: Request<'_>,
) -> Result<SftpAttributes, SftpTrouble> {
    match session.ask(request)?.wait()? {
        SftpAnswer::Attributes(known) => Ok(known),
        SftpAnswer::Status { code, words } => Err(SftpTrouble::Status { code, words }),
        _ => Err(SftpTrouble::Odd),
    }
}

pub(super) fn done(session: &SessionCall, request: Request<'_>) -> Result<(), SftpTrouble> {
    settled(session.ask(request)?)
}

pub(super) fn settled(coming: Awaited) -> Result<(), SftpTrouble> {
    match coming.wait()? {
        SftpAnswer::Status { code: wire::OK, .. } | SftpAnswer::Attributes(_) => Ok(()),
        SftpAnswer::Status { code, words } => Err(SftpTrouble::Status { code, words }),
        _ => Err(SftpTrouble::Odd),
    }
}
