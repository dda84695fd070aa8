//! A cluster of several hosts, one of which takes writes (Patroni, docs/operate/postgresql.md).
//!
//! Reads go to the leader. While none takes writes they are answered by any host that answers: a sign-in needs no write, and must
//! not wait the twenty seconds that a fail-over takes. What a standby says is as new as the last acknowledged write if the cluster
//! applies synchronously at every standby (`synchronous_commit = remote_apply`, one synchronous standby a standby); a decision
//! that writes is compared with the leader's version in any case.

use crate::StoreError;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Timeouts};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, Socket};

/// A server that says nothing for so long is taken for gone; a slow one is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where another host may answer instead.
const PATIENCE_OF_MANY: Duration = Duration::from_secs(2);
/// A write that is not answered by then has an unknown end. Synchronous standbys that left take a cluster some seconds to notice.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(20);
/// While the leader is gone, one read in so many looks whether there is one again.
const LOOK_AGAIN: u32 = 32;

/// Which of a cluster's hosts is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Host {
    /// The one that takes writes.
    Leader,
    /// Any that answers.
    Any,
}

/// Connections to a server, or to a cluster.
pub(super) struct Hosts {
    leader: Pool,
    any: Option<Pool>,
    /// 0 while the leader is there; else how many reads were made without it.
    without: AtomicU32,
}

impl Hosts {
    /// Connects when asked for the first time.
    pub fn new<T>(config: Config, connections: usize, tls: T) -> Result<Self, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let many = config.get_hosts().len() > 1;
        let pool = |config: Config, tls: T| {
            let patience = Some(PATIENCE);
            let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            Pool::builder(Manager::from_config(config, tls, manager))
                .max_size(connections.max(1))
                .runtime(deadpool_postgres::Runtime::Tokio1)
                .timeouts(Timeouts { wait: patience, create: patience, recycle: patience })
                .build()
                .map_err(StoreError::unavailable)
        };
        if !many {
            return Ok(Self { leader: pool(config, tls)?, any: None, without: AtomicU32::new(0) });
        }
        let (mut leader, mut any) = (config.clone(), config);
        leader.target_session_attrs(TargetSessionAttrs::ReadWrite);
        any.target_session_attrs(TargetSessionAttrs::Any).load_balance_hosts(LoadBalanceHosts::Random);
        Ok(Self { leader: pool(leader, tls.clone())?, any: Some(pool(any, tls)?), without: AtomicU32::new(0) })
    }

    /// A connection to the host that takes writes.
    pub async fn leader(&self) -> Result<Object, StoreError> {
        let client = self.leader.get().await;
        if client.is_err() {
            self.gone();
        }
        Ok(client?)
    }

    /// Whom a read asks first, and whom if that one does not answer.
    pub fn order(&self) -> (Host, Option<Host>) {
        if self.any.is_none() {
            return (Host::Leader, None);
        }
        match self.without.load(Ordering::Relaxed) {
            0 => (Host::Leader, Some(Host::Any)),
            _ if self.without.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_AGAIN) => {
                (Host::Leader, Some(Host::Any))
            }
            _ => (Host::Any, None),
        }
    }

    /// The leader answered.
    pub fn there(&self) {
        self.without.store(0, Ordering::Relaxed);
    }

    fn gone(&self) {
        let _ = self.without.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Carries out a read at a host; a connection that failed, or was silent for too long, is not used again.
    pub async fn read<T>(
        &self,
        host: Host,
        read: impl AsyncFnOnce(&Object) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pool = match (host, &self.any) {
            (Host::Any, Some(any)) => any,
            _ => &self.leader,
        };
        let patience = if self.any.is_some() { PATIENCE_OF_MANY } else { PATIENCE };
        let client = match pool.get().await {
            Ok(client) => client,
            Err(error) => {
                if host == Host::Leader {
                    self.gone();
                }
                return Err(error.into());
            }
        };
        let answer = tokio::time::timeout(patience, read(&client)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(StoreError::unavailable("the server did not answer a read in time")));
        match (&answer, host) {
            (Err(StoreError::Unavailable { .. }), _) => {
                drop(Object::take(client));
                if host == Host::Leader {
                    self.gone();
                }
            }
            (_, Host::Leader) => self.there(),
            (_, Host::Any) => {}
        }
        answer
    }
}
