#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::new;

fn transfer(compression: Compression, blob: &str) -> Transfer {
    Transfer {
        layer: DiffId::new(Digest::of(b"layer")),
        compression,
        blob: Digest::of(blob.as_bytes()),
        size: 1 << 40,
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
    }
}

#[test]
fn blobs_and_layers_lead_to_each_other() {
    let (_directory, store) = new();
    let gzip = transfer(Compression::Gzip, "gzip");
    let zstd = transfer(Compression::Zstd, "zstd");
    let transfers = store.transfers();
    assert_eq!(
        transfers.by_layer(&gzip.layer, Compression::Gzip).unwrap(),
        None
    );
    for transfer in [&gzip, &zstd] {
        transfers.remember(transfer).unwrap();
    }
    for transfer in [&gzip, &zstd] {
        assert_eq!(
            transfers
                .by_layer(&transfer.layer, transfer.compression)
                .unwrap()
                .as_ref(),
            Some(transfer)
        );
        assert_eq!(
            transfers.by_blob(&transfer.blob).unwrap().as_ref(),
            Some(transfer)
        );
    }
    assert_eq!(
        transfers
            .by_layer(&gzip.layer, Compression::Estargz)
            .unwrap(),
        None
    );
    let again = transfer(Compression::Gzip, "again");
    transfers.remember(&again).unwrap();
    assert_eq!(
        transfers.by_layer(&gzip.layer, Compression::Gzip).unwrap(),
        Some(again)
    );
    assert_eq!(transfers.by_blob(&gzip.blob).unwrap(), Some(gzip));
}

#[test]
fn locations_are_gathered_and_forgotten() {
    let (_directory, store) = new();
    let (blob, transfers) = (Digest::of(b"blob"), store.transfers());
    assert_eq!(transfers.locations(&blob).unwrap(), [""; 0]);
    for repository in ["localhost:5000/b", "../../x", "localhost:5000/a", "../../x"] {
        transfers.remember_location(&blob, repository).unwrap();
    }
    assert_eq!(
        transfers.locations(&blob).unwrap(),
        ["../../x", "localhost:5000/a", "localhost:5000/b"]
    );
    transfers.forget_location(&blob, "../../x").unwrap();
    transfers.forget_location(&blob, "never known").unwrap();
    assert_eq!(
        transfers.locations(&blob).unwrap(),
        ["localhost:5000/a", "localhost:5000/b"]
    );
}

#[test]
fn what_is_old_and_of_no_layer_is_forgotten() {
    let (_directory, store) = new();
    let transfers = store.transfers();
    let layer = crate::testing::add(&store, "layer").diff_id;
    let gone = Transfer {
        layer: DiffId::new(Digest::of(b"another")),
        ..transfer(Compression::Gzip, "gone")
    };
    let kept = Transfer {
        layer,
        ..transfer(Compression::Gzip, "kept")
    };
    // A layer that is sent as it is is its own blob.
    let own = *layer.digest();
    for transfer in [&gone, &kept] {
        transfers.remember(transfer).unwrap();
        transfers.remember_location(&transfer.blob, "r").unwrap();
    }
    transfers.remember_location(&own, "r").unwrap();
    transfers.forget_old().unwrap();
    assert_eq!(transfers.by_blob(&gone.blob).unwrap().as_ref(), Some(&gone));
    assert_eq!(transfers.locations(&gone.blob).unwrap(), ["r"]);
    let old = SystemTime::now() - AGE_MAX - Duration::from_hours(1);
    for bucket in [Bucket::Transfers, Bucket::Origins] {
        for path in shards(&store, bucket).unwrap() {
            let file = std::fs::File::open(path).unwrap();
            file.set_modified(old).unwrap();
        }
    }
    transfers.forget_old().unwrap();
    assert_eq!(transfers.by_blob(&gone.blob).unwrap(), None);
    assert_eq!(
        transfers.by_layer(&gone.layer, Compression::Gzip).unwrap(),
        None
    );
    assert_eq!(transfers.locations(&gone.blob).unwrap(), [""; 0]);
    assert_eq!(transfers.by_blob(&kept.blob).unwrap().as_ref(), Some(&kept));
    for blob in [kept.blob, own] {
        assert_eq!(transfers.locations(&blob).unwrap(), ["r"]);
    }
}
