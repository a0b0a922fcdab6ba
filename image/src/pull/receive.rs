//! One layer from a stream of its blob into a store.

use std::io::BufRead;

use layer::{DiffId, Limits, index_tar};

use crate::compression::{self, Compression, Format};
use crate::error::Error;
use crate::reference::Repository;
use crate::transfer::{KnownBlob, LayerSink, ReceivedLayer};

/// A layer that is coming.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What errors call it.
    pub(crate) name: String,
    /// What it must be.
    pub(crate) expected: DiffId,
    /// The blob that holds it, if it has a name of its own.
    pub(crate) blob: Option<KnownBlob>,
    /// Where the blob is.
    pub(crate) repository: Option<Repository>,
}

/// Decompresses, hashes and indexes a layer and puts it into the store. `reader` fails at the end if what it read is
/// not the blob; it is read to its end.
pub(crate) fn receive(
    mut reader: impl BufRead + Send,
    incoming: Incoming,
    sink: &dyn LayerSink,
) -> Result<(), Error> {
    let name = incoming.name;
    let draft = sink.begin().map_err(Error::Store)?;
    let files = draft.files().map_err(Error::Store)?;
    let undecodable = |source| Error::Decompress {
        what: format!("layer {name}"),
        source,
    };
    let (format, mut decoded) = compression::decoder(&mut reader).map_err(undecodable)?;
    let summary = index_tar(&mut decoded, &files.tar, &files.index, &Limits::default()).map_err(
        |source| Error::Layer {
            blob: name.clone(),
            source,
        },
    )?;
    drop(decoded);
    // What follows a compressed stream belongs to the blob all the same.
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(undecodable)?;
    if summary.diff_id != incoming.expected {
        return Err(Error::WrongDiffId {
            blob: name,
            expected: incoming.expected,
            actual: summary.diff_id,
        });
    }
    let compression = match format {
        Format::Plain => Some(Compression::None),
        Format::Gzip => Some(Compression::Gzip),
        Format::Zstd => Some(Compression::Zstd),
        // Not a form to push.
        Format::Xz | Format::Bzip2 => None,
    };
    let blob = incoming.blob.zip(compression);
    let received = ReceivedLayer {
        summary,
        blob: blob.map(|(blob, compression)| KnownBlob {
            compression,
            ..blob
        }),
        repository: incoming.repository,
    };
    draft.commit(&received).map_err(Error::Store)
}
