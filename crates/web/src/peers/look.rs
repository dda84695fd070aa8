//! Looking at who answers at another office's address, for whoever examines a deployment: a handshake, and what it showed.

use super::anchor::client_config;
use super::{PeerError, Peers};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

impl Peers {
    /// The certificate that `office` shows, DER, once it has proved its name to this one. Whether it takes this office's own is
    /// seen by the first answer.
    ///
    /// # Errors
    /// A sentence: nobody there, nothing heard `within` the time, or somebody else.
    pub async fn look(&self, office: &str, within: Duration) -> Result<Vec<u8>, String> {
        let peer = self.to(office).map_err(|error| error.to_string())?;
        let identity = self.roster().get(office).ok_or_else(|| PeerError::Unknown(office.to_owned()).to_string())?;
        let (config, name) = client_config(self.own(), identity).map_err(|error| error.to_string())?;
        let address = peer.address();
        let looking = async {
            let stream =
                TcpStream::connect(address).await.map_err(|error| format!("nobody is at {address}: {error}"))?;
            let shaken = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await;
            shaken.map_err(|error| format!("who answers at {address} is not {office}: {error}"))
        };
        let told = |_| format!("{address} does not answer within {} s", within.as_secs());
        let stream = tokio::time::timeout(within, looking).await.map_err(told)??;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        shown.map(|certificate| certificate.to_vec()).ok_or_else(|| format!("{office} shows no certificate"))
    }
}
