//! Integration and publication: builds tiles and bundles from sequenced entries, and signs checkpoints over them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::Receiver;

use tokio::sync::oneshot;
use writ_audit::{
    Checkpoint, Durability, Leaf, LogFiles as _, Signer, Tile, TilePath, Tree, push_entry,
    tile_bytes,
};
use writ_types::Digest;

use super::files::{LogDirectory, Publication};
use super::journal::{prepare_spare, remove_covered};

/// Files that are written before a checkpoint needs them, so that a burst does not pile up in memory.
const PENDING: usize = 64;

/// What a broken writer says from then on.
pub(super) type Poison = Arc<OnceLock<String>>;

/// What the writer asks for, in the order of the entries.
#[derive(Debug)]
pub(super) enum Work {
    /// Take these entries, which are in the journal, into the tree.
    Integrate(Vec<(Leaf, Durability)>),
    /// Publish a checkpoint over everything taken so far, which is on disk in the journal.
    Publish(Option<oneshot::Sender<Result<Checkpoint, String>>>),
}

/// The second thread of a log.
#[derive(Debug)]
pub(super) struct Publisher {
    directory: LogDirectory,
    signer: Signer,
    tree: Tree,
    /// The entries of the last, partial bundle.
    bundle: Vec<u8>,
    pending: Vec<(TilePath, Vec<u8>)>,
    /// Partial tiles that the last checkpoint needed, and that therefore lie there.
    partial: BTreeSet<TilePath>,
    published: Option<u64>,
    segment_bytes: u64,
    poison: Poison,
}

impl Publisher {
    /// Continues a log whose tree is `tree` and whose last bundle has the entries `bundle`; `published` is the size of its
    /// checkpoint.
    pub(super) fn new(
        directory: LogDirectory,
        signer: Signer,
        (tree, bundle): (Tree, Vec<u8>),
        published: Option<u64>,
        segment_bytes: u64,
        poison: Poison,
    ) -> Self {
        Self {
            directory,
            signer,
            tree,
            bundle,
            pending: Vec::new(),
            partial: BTreeSet::new(),
            published,
            segment_bytes,
            poison,
        }
    }

    /// Works until the writer ends. After a failure nothing more is published, and the writer is told.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        for work in work {
            let done = match work {
                Work::Integrate(entries) => self.integrate(&entries),
                Work::Publish(reply) => self.answer(reply),
            };
            if let Err(error) = done {
                let first = self.poison.set(format!("cannot publish: {error}")).is_ok();
                if first {
                    tracing::error!(error = %error, "the log cannot be published; no call is recorded any more");
                }
            }
        }
    }

    fn answer(
        &mut self,
        reply: Option<oneshot::Sender<Result<Checkpoint, String>>>,
    ) -> io::Result<()> {
        let published = match self.poison.get() {
            Some(fault) => Err(io::Error::other(fault.clone())),
            None => self.publish(),
        };
        let (answer, done) = match published {
            Ok(checkpoint) => (Ok(checkpoint), Ok(())),
            Err(error) => (Err(error.to_string()), Err(error)),
        };
        if let Some(reply) = reply {
            // Whoever asked may have stopped waiting.
            drop(reply.send(answer));
        }
        done
    }

    /// Takes entries that were in the journal when the log was opened, and are not under a checkpoint yet.
    pub(super) fn recover(&mut self, entries: &[(Digest, Vec<u8>)]) -> io::Result<()> {
        entries
            .iter()
            .try_for_each(|(leaf, entry)| self.push(*leaf, entry))
    }

    fn integrate(&mut self, entries: &[(Leaf, Durability)]) -> io::Result<()> {
        for (leaf, _) in entries {
            self.push(*leaf.hash(), leaf.bytes())?;
        }
        Ok(())
    }

    fn push(&mut self, leaf: Digest, entry: &[u8]) -> io::Result<()> {
        push_entry(&mut self.bundle, entry)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let index = self.tree.size() / 256;
        let mut full: Vec<Tile> = Vec::new();
        self.tree.push(leaf, |tile| full.push(tile));
        if full.is_empty() {
            return Ok(());
        }
        let bundle = std::mem::take(&mut self.bundle);
        self.pending.push((TilePath::entries(index, 256), bundle));
        let tiles = full
            .iter()
            .map(|tile| (tile.path, tile_bytes(&tile.hashes)));
        self.pending.extend(tiles);
        if self.pending.len() > PENDING {
            self.write_pending()?;
        }
        Ok(())
    }

    /// Writes full tiles and bundles; the partial ones they replace are then of no use.
    fn write_pending(&mut self) -> io::Result<()> {
        let mut publication = Publication::new(self.directory.root());
        for (path, bytes) in &self.pending {
            publication.put(&path.to_string(), bytes)?;
        }
        publication.finish()?;
        for (path, _) in self.pending.drain(..) {
            let partial = self.directory.root().join(format!("{path}.p"));
            match fs::remove_dir_all(partial) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Publishes a checkpoint over the present tree, after everything it covers is on disk.
    pub(super) fn publish(&mut self) -> io::Result<Checkpoint> {
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().clone(),
            size: self.tree.size(),
            root: self.tree.root(),
        };
        if self.published == Some(checkpoint.size) {
            return Ok(checkpoint);
        }
        self.write_pending()?;
        let mut tiles = Publication::new(self.directory.root());
        let mut partial = BTreeSet::new();
        for tile in self.tree.partial() {
            if !self.partial.contains(&tile.path) {
                tiles.put(&tile.path.to_string(), &tile_bytes(&tile.hashes))?;
            }
            partial.insert(tile.path);
        }
        let width = u16::try_from(self.tree.last_leaves().len()).unwrap_or(0);
        if width > 0 {
            let path = TilePath::entries(checkpoint.size / 256, width);
            tiles.put(&path.to_string(), &self.bundle)?;
        }
        tiles.finish()?;
        let note = Checkpoint::sign(checkpoint.size, &checkpoint.root, &self.signer);
        let mut head = Publication::new(self.directory.root());
        head.put("checkpoint", note.as_bytes())?;
        head.finish()?;
        self.partial = partial;
        self.published = Some(checkpoint.size);
        remove_covered(
            self.directory.root(),
            &self.directory.segments()?,
            checkpoint.size,
        )?;
        prepare_spare(self.directory.root(), self.segment_bytes)?;
        Ok(checkpoint)
    }
}
