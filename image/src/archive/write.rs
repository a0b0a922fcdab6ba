//! Writes archives and layouts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use layer::Digest;
use tar::{EntryType, Header};

use super::blobs::{Blobs, Body, LayerWriter};
use super::names::{self, DockerImage};
use super::{ArchiveProblem, INDEX_FILE, LAYOUT_FILE, MANIFEST_FILE, blob_file};
use crate::compression::{Compression, Encoding};
use crate::config::{ImageConfig, timestamp};
use crate::content::{Content, LocalImage, index_of};
use crate::error::{Error, IoContext as _};
use crate::json;
use crate::manifest::{Descriptor, Index, Manifest};
use crate::media_type::MediaTypes;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::transfer::{LayerSource, Observer};

/// For whom an archive is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// An OCI layout.
    Oci,
    /// An OCI layout that `docker load` reads too.
    Docker,
}

/// An image, or images with an index, and the names that it has in the archive.
#[derive(Debug, Clone)]
pub struct ArchiveImage {
    /// The image.
    pub image: Content,
    /// Its names.
    pub names: Vec<Reference>,
}

/// How an archive is written.
#[derive(Debug, Clone)]
pub struct ArchiveOptions {
    /// For whom.
    pub format: ArchiveFormat,
    /// How layers are compressed.
    pub encoding: Encoding,
    /// Which media types manifests have.
    pub media_types: MediaTypes,
    /// The time that `index.json` tells; without one it tells none.
    pub created: Option<SystemTime>,
    /// Where compressed layers lie until they are written. Files there have no name and vanish by themselves.
    pub scratch: PathBuf,
}

impl ArchiveOptions {
    /// What the format's users expect: OCI with gzip; for Docker its own media types and no compression.
    pub fn new(format: ArchiveFormat, scratch: PathBuf) -> Self {
        let (compression, media_types) = match format {
            ArchiveFormat::Oci => (Compression::Gzip, MediaTypes::Oci),
            ArchiveFormat::Docker => (Compression::None, MediaTypes::Docker),
        };
        Self {
            format,
            encoding: compression.into(),
            media_types,
            created: None,
            scratch,
        }
    }
}

/// Writes images as one tar, and gives the pointers to their manifests or indexes in their order. The bytes depend on the
/// images, their names and the options alone. Blocks.
pub fn write_archive(
    images: &[ArchiveImage],
    options: &ArchiveOptions,
    source: &dyn LayerSource,
    observer: &dyn Observer,
    out: &mut dyn Write,
) -> Result<Vec<Descriptor>, Error> {
    let (blobs, manifests) = gather(images, options, source, observer)?;
    write_tar(&blobs.files, out).doing("write the archive")?;
    Ok(manifests)
}

/// Writes images as an OCI layout into a directory, which is made if it is absent. Blobs that are there already are
/// kept; `index.json`, written last, then speaks of these images only. Blocks.
pub fn write_layout(
    images: &[ArchiveImage],
    options: &ArchiveOptions,
    source: &dyn LayerSource,
    observer: &dyn Observer,
    directory: &Path,
) -> Result<Vec<Descriptor>, Error> {
    let (blobs, manifests) = gather(images, options, source, observer)?;
    let place = directory.join("blobs/sha256");
    fs::create_dir_all(&place).map_err(|source| Error::File {
        action: "create",
        path: place,
        source,
    })?;
    let (blob_files, documents): (Vec<_>, Vec<_>) =
        blobs.files.iter().partition(|(name, _)| name.contains('/'));
    for (name, body) in blob_files.into_iter().chain(documents) {
        write_file(&directory.join(name), body)?;
    }
    Ok(manifests)
}

/// Makes everything that is to be written.
fn gather(
    images: &[ArchiveImage],
    options: &ArchiveOptions,
    source: &dyn LayerSource,
    observer: &dyn Observer,
) -> Result<(Blobs, Vec<Descriptor>), Error> {
    let writer = LayerWriter {
        encoding: options.encoding,
        scratch: &options.scratch,
        source,
        observer,
    };
    let created = options.created.map(timestamp);
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    let mut docker = BTreeMap::<Digest, DockerImage>::new();
    for ArchiveImage { image, names } in images {
        let Added {
            target,
            manifest,
            digest,
        } = add_content(&mut blobs, image, options, &writer)?;
        let entry = |name: Option<&Reference>| Descriptor {
            annotations: names::annotations(name, created.as_deref()),
            ..target.clone()
        };
        if names.is_empty() {
            entries.push(entry(None));
        }
        entries.extend(names.iter().map(|name| entry(Some(name))));
        let files = manifest.layers.iter().map(|layer| blob_file(&layer.digest));
        let listed = docker.entry(digest).or_insert_with(|| DockerImage {
            config: blob_file(&manifest.config.digest),
            repo_tags: None,
            layers: files.collect(),
        });
        for name in names.iter().filter(|name| name.tag().is_some()) {
            let tags = listed.repo_tags.get_or_insert_default();
            tags.push(name.familiar());
        }
        manifests.push(Descriptor {
            platform: None,
            ..target
        });
    }
    let mut document = |name: &str, bytes| blobs.files.insert(name.to_owned(), Body::Bytes(bytes));
    document(INDEX_FILE, Index::new(entries).encode());
    document(LAYOUT_FILE, names::LAYOUT.to_vec());
    if options.format == ArchiveFormat::Docker {
        let docker: Vec<DockerImage> = docker.into_values().collect();
        document(MANIFEST_FILE, json::compact(&docker));
    }
    Ok((blobs, manifests))
}

/// What was added of an image or an index.
struct Added {
    /// What names lead to: of an image with its platform.
    target: Descriptor,
    /// The image that Docker's list has, one for each name: of several the one that runs here, else the first.
    manifest: Manifest,
    /// The digest of that.
    digest: Digest,
}

fn add_content(
    blobs: &mut Blobs,
    content: &Content,
    options: &ArchiveOptions,
    writer: &LayerWriter<'_>,
) -> Result<Added, Error> {
    let mut images = Vec::new();
    for image in content.images() {
        let (manifest, pointer) = add_image(blobs, image, options, writer)?;
        let platform = ImageConfig::parse("the archive", &image.config)?.platform();
        images.push((manifest, pointer, platform));
    }
    let index = match content {
        Content::Image(_) => None,
        Content::Index(locals) => {
            let entries = locals.iter().zip(&images);
            let entries =
                entries.map(|((platform, _), (_, pointer, _))| (platform.clone(), pointer.clone()));
            let types = options.media_types;
            Some(blobs.document(types.index(), index_of(entries, types).0))
        }
    };
    let host = Platform::host();
    let runs_here = images.iter().position(|(.., it)| it.serves(&host));
    let shown = images.into_iter().nth(runs_here.unwrap_or(0));
    let (manifest, pointer, platform) = shown.ok_or(ArchiveProblem::NoImages)?;
    Ok(Added {
        digest: pointer.digest,
        manifest,
        target: index.unwrap_or(Descriptor {
            platform: Some(platform),
            ..pointer
        }),
    })
}

fn add_image(
    blobs: &mut Blobs,
    image: &LocalImage,
    options: &ArchiveOptions,
    writer: &LayerWriter<'_>,
) -> Result<(Manifest, Descriptor), Error> {
    let types = options.media_types;
    let mut layers = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        let blob = blobs.layer(*layer, writer)?;
        let media_type = types.layer(blob.compression);
        layers.push(Descriptor::new(media_type, blob.digest, blob.size));
    }
    let config = blobs.document(types.config(), image.config.clone());
    let manifest = Manifest::new(types, config, layers);
    let (bytes, _) = manifest.encode();
    let descriptor = blobs.document(types.manifest(), bytes);
    Ok((manifest, descriptor))
}

fn write_tar(files: &BTreeMap<String, Body>, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, out);
    for directory in ["blobs/", "blobs/sha256/"] {
        out.write_all(header(directory, EntryType::Directory, 0o755, 0)?.as_bytes())?;
    }
    for (name, body) in files {
        let mode = match name.as_str() {
            INDEX_FILE | MANIFEST_FILE => 0o644,
            _ => 0o444,
        };
        let size = body.size();
        out.write_all(header(name, EntryType::Regular, mode, size)?.as_bytes())?;
        body.write_to(&mut out)?;
        let padding = size.next_multiple_of(512) - size;
        out.write_all(&[0; 512][..padding as usize])?;
    }
    out.write_all(&[0; 1024])?;
    out.flush()
}

fn header(name: &str, kind: EntryType, mode: u32, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// Writes a file under another name first, so that what has its name is whole.
fn write_file(path: &Path, body: &Body) -> Result<(), Error> {
    let failed = |action: &'static str| {
        move |source| Error::File {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let directory = path.parent().unwrap_or(path);
    let is_blob =
        path.extension().is_none() && path.file_name().is_some_and(|name| name.len() == 64);
    if is_blob && fs::metadata(path).is_ok_and(|found| found.len() == body.size()) {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed("create"))?;
    body.write_to(file.as_file_mut()).map_err(failed("write"))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file()
        .set_permissions(mode)
        .map_err(failed("write"))?;
    file.persist(path)
        .map_err(|error| failed("create")(error.error))?;
    Ok(())
}
