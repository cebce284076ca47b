//! The seed at rest: one BIP-39 phrase in one age file, opened by an identity file or a passphrase.

use crate::config::Unlock;
use crate::error::NodeError;
use crate::home::{Home, write_private};
use age::secrecy::{ExposeSecret, SecretString};
use haggle_base::Seed;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Writes `seed` to the home's `keys.age`, locked as `unlock` says.
///
/// # Errors
/// `locked` when the secret is not there, a file error otherwise.
pub(crate) fn store(home: &Home, unlock: &Unlock, seed: &Seed) -> Result<(), NodeError> {
    let phrase = seed.phrase();
    let sealed = match unlock {
        Unlock::Identity(file) => {
            let identity = age::x25519::Identity::generate();
            let path = home.path().join(file);
            write_private(&path, identity.to_string().expose_secret().as_bytes())?;
            age::encrypt(&identity.to_public(), phrase.as_bytes())
        }
        Unlock::Env(_) | Unlock::Credential(_) | Unlock::Prompt => {
            let recipient = age::scrypt::Recipient::new(passphrase(home, unlock)?);
            age::encrypt(&recipient, phrase.as_bytes())
        }
    };
    let sealed = sealed.map_err(|cause| NodeError::Locked(home.keys(), cause.to_string()))?;
    write_private(&home.keys(), &sealed)
}

/// Opens the home's `keys.age`.
///
/// # Errors
/// `locked` when the secret is missing or wrong, or the file is damaged.
pub(crate) fn open(home: &Home, unlock: &Unlock) -> Result<Seed, NodeError> {
    let path = home.keys();
    let sealed = std::fs::read(&path).map_err(NodeError::file(&path))?;
    let locked = |reason: String| NodeError::Locked(path.clone(), reason);
    let opened = match unlock {
        Unlock::Identity(file) => {
            let path = home.path().join(file);
            let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(NodeError::file(&path))?);
            let identity = age::x25519::Identity::from_str(text.trim()).map_err(|reason| locked(reason.to_owned()))?;
            age::decrypt(&identity, &sealed)
        }
        Unlock::Env(_) | Unlock::Credential(_) | Unlock::Prompt => {
            age::decrypt(&age::scrypt::Identity::new(passphrase(home, unlock)?), &sealed)
        }
    };
    let phrase = Zeroizing::new(opened.map_err(|cause| locked(cause.to_string()))?);
    let phrase = std::str::from_utf8(&phrase).map_err(|_| locked("what is inside is no phrase".to_owned()))?;
    Seed::from_phrase(phrase).map_err(|cause| locked(cause.to_string()))
}

fn passphrase(home: &Home, unlock: &Unlock) -> Result<SecretString, NodeError> {
    let locked = |reason: String| NodeError::Locked(home.keys(), reason);
    match unlock {
        Unlock::Env(name) => std::env::var(name)
            .map(SecretString::from)
            .map_err(|_| locked(format!("the environment variable {name} is not set"))),
        Unlock::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| locked("systemd gave no CREDENTIALS_DIRECTORY".to_owned()))?;
            let path = std::path::Path::new(&folder).join(name);
            let text = std::fs::read_to_string(&path).map_err(NodeError::file(&path))?;
            Ok(SecretString::from(text.trim_end_matches('\n').to_owned()))
        }
        Unlock::Prompt | Unlock::Identity(_) => crate::cli::terminal::ask_secret("Passphrase")
            .map(SecretString::from)
            .map_err(|cause| locked(cause.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::{open, store};
    use crate::config::Unlock;
    use crate::home::Home;
    use haggle_base::Seed;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_stored_seed_comes_back_and_no_one_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let unlock = Unlock::Identity("unlock.key".to_owned());
        let seed = Seed::devnet(7, 1);
        store(&home, &unlock, &seed).unwrap();
        assert_eq!(open(&home, &unlock).unwrap().agent_key(0).did(), seed.agent_key(0).did());
        for file in ["keys.age", "unlock.key"] {
            let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_damaged_key_file_is_refused_with_a_code() {
        use haggle_base::Coded;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let unlock = Unlock::Identity("unlock.key".to_owned());
        store(&home, &unlock, &Seed::devnet(7, 1)).unwrap();
        let mut sealed = std::fs::read(home.keys()).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        std::fs::write(home.keys(), sealed).unwrap();
        assert_eq!(open(&home, &unlock).unwrap_err().code(), "locked");
    }
}
