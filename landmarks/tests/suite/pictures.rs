//! Pictures good, odd and hostile.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use landmarks::Error;
use landmarks::picture::{OpenOptions, Picture, Warning, decode};

use crate::astronaut;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn read(bytes: &[u8]) -> Result<Picture, Error> {
    decode(bytes, &OpenOptions::default())
}

/// A picture in which every corner differs.
fn corners() -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| {
        Rgb(match (x < 12, y < 8) {
            (true, true) => [255, 0, 0],
            (false, true) => [0, 255, 0],
            (true, false) => [0, 0, 255],
            (false, false) => [255, 255, 0],
        })
    })
}

#[test]
fn every_format_is_read_by_content() {
    let picture = DynamicImage::from(corners());
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        assert_eq!(read(&encoded(&picture, format)).unwrap().rgb, corners(), "{format:?}");
    }
    let jpeg = read(&encoded(&picture, ImageFormat::Jpeg)).unwrap().rgb;
    assert!(jpeg.get_pixel(2, 2).0[0] > 200 && jpeg.get_pixel(2, 2).0[1] < 60);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.JPEG");
    std::fs::write(&path, encoded(&picture, ImageFormat::Png)).unwrap();
    assert_eq!(landmarks::open(path).unwrap().rgb, corners());
}

#[test]
fn grey_deep_and_transparent_pictures_become_rgb() {
    let deep = DynamicImage::from(image::ImageBuffer::from_pixel(9, 9, Rgb([0x8080_u16, 0xffff, 0])));
    assert_eq!(read(&encoded(&deep, ImageFormat::Png)).unwrap().rgb.get_pixel(4, 4).0, [128, 255, 0]);
    let grey = DynamicImage::from(image::GrayImage::from_pixel(9, 9, Luma([77])));
    assert_eq!(read(&encoded(&grey, ImageFormat::Png)).unwrap().rgb.get_pixel(4, 4).0, [77; 3]);
    let grey_alpha = DynamicImage::from(image::GrayAlphaImage::from_pixel(9, 9, LumaA([0, 0])));
    let read_back = read(&encoded(&grey_alpha, ImageFormat::Png)).unwrap();
    assert_eq!(
        (read_back.rgb.get_pixel(4, 4).0, read_back.warnings.as_slice()),
        ([255; 3], [Warning::AlphaOverWhite].as_slice())
    );
    let half = DynamicImage::from(image::RgbaImage::from_pixel(9, 9, Rgba([255, 0, 0, 128])));
    assert_eq!(read(&encoded(&half, ImageFormat::Png)).unwrap().rgb.get_pixel(4, 4).0, [255, 127, 127]);
    let opaque = DynamicImage::from(image::RgbaImage::from_pixel(9, 9, Rgba([9, 8, 7, 255])));
    assert!(read(&encoded(&opaque, ImageFormat::Png)).unwrap().warnings.is_empty());
}

/// A JPEG with an EXIF block that says nothing but the orientation.
fn with_orientation(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    with_exif(
        picture,
        &[b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0], b"\0\0\0\0"].concat(),
    )
}

fn with_exif(picture: &RgbImage, exif: &[u8]) -> Vec<u8> {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100).encode_image(picture).unwrap();
    let mut block = b"Exif\0\0".to_vec();
    block.extend(exif);
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(((block.len() + 2) as u16).to_be_bytes());
    out.extend(block);
    out.extend(&jpeg[2..]);
    out
}

#[test]
fn every_exif_orientation_is_undone() {
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    let upright = corners();
    let stored = [
        upright.clone(),
        flip_horizontal(&upright),
        rotate180(&upright),
        flip_vertical(&upright),
        rotate270(&flip_horizontal(&upright)),
        rotate270(&upright),
        rotate90(&flip_horizontal(&upright)),
        rotate90(&upright),
    ];
    for (i, picture) in stored.iter().enumerate() {
        let read = read(&with_orientation(picture, i as u8 + 1)).unwrap().rgb;
        assert_eq!(read.dimensions(), upright.dimensions(), "orientation {}", i + 1);
        for (x, y) in [(2, 2), (21, 2), (2, 13), (21, 13)] {
            let far = read.get_pixel(x, y).0.iter().zip(upright.get_pixel(x, y).0).any(|(a, b)| a.abs_diff(b) > 60);
            assert!(!far, "orientation {} at {x}, {y}", i + 1);
        }
    }
}

#[test]
fn exif_counts_in_webp_with_the_prefix_of_jpeg_and_without() {
    use image::ImageEncoder;
    let block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    for exif in [block.to_vec(), [b"Exif\0\0".as_slice(), block].concat()] {
        let mut webp = Vec::new();
        let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
        encoder.set_exif_metadata(exif).unwrap();
        let stored = image::imageops::rotate270(&corners());
        stored.write_with_encoder(encoder).unwrap();
        let read = read(&webp).unwrap();
        assert!(read.rgb == corners() && read.warnings.is_empty(), "{:?}", read.warnings);
    }
}

#[test]
fn damaged_exif_is_ignored_and_said() {
    let read = read(&with_exif(&corners(), b"no tiff block at all")).unwrap();
    assert_eq!(read.warnings, [Warning::ExifIgnored]);
    assert_eq!(read.rgb.dimensions(), (24, 16));
}

#[test]
fn sizes_beyond_the_limits_are_refused_before_decoding() {
    // A header that claims 100,000 x 100,000 pixels and nothing behind it.
    let mut png = encoded(&DynamicImage::from(corners()), ImageFormat::Png);
    png[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
    assert!(matches!(read(&png), Err(Error::Decode { .. } | Error::PictureSize { .. })));
    let small = |w, h| read(&encoded(&DynamicImage::from(RgbImage::new(w, h)), ImageFormat::Png));
    for (w, h) in [(1, 1), (7, 100), (1, 16_000)] {
        assert!(matches!(small(w, h), Err(Error::PictureSize { .. })), "{w}x{h}");
    }
    assert!(small(8, 8).is_ok());
    let tight = OpenOptions { max_pixels: 100, ..Default::default() };
    let bytes = encoded(&DynamicImage::from(corners()), ImageFormat::Png);
    assert!(matches!(decode(&bytes, &tight), Err(Error::PictureSize { width: 24, .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, &bytes).unwrap();
    let few = OpenOptions { max_file_bytes: 10, ..Default::default() };
    assert!(matches!(landmarks::picture::open_with(&path, &few), Err(Error::FileTooLarge { .. })));
}

#[test]
fn what_is_no_picture_is_named() {
    for (bytes, hint) in [
        (b"".as_slice(), "empty"),
        (b"just some text in a file named .jpg", "text file"),
        (b"<svg xmlns='x'></svg>", "SVG"),
        (b"\0\0\0\x20ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x20ftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS"),
        (b"v/1\x01\xff\xfe\0\0", "supported"),
    ] {
        match read(bytes) {
            Err(Error::UnknownPicture { hint: found, .. }) => assert!(found.contains(hint), "{found}"),
            other => panic!("{hint}: {other:?}"),
        }
    }
    assert!(matches!(landmarks::open("/nonexistent.png"), Err(Error::Io { .. })));
    assert!(matches!(landmarks::open("/"), Err(Error::NotAFile { .. })));
}

#[test]
fn a_cut_jpeg_is_refused_unless_asked_for() {
    let picture = DynamicImage::from(image::imageops::crop_imm(&astronaut().rgb, 100, 0, 200, 200).to_image());
    let whole = encoded(&picture, ImageFormat::Jpeg);
    assert!(read(&whole).is_ok());
    // What lies behind the end, as in motion photos, is not the picture's, whatever it looks like.
    for tail in [b"\xff\xda\0".as_slice(), b"ftyp\xff\xd9\xff\xda", &[0xff; 99]] {
        assert!(read(&[&whole, tail].concat()).is_ok());
    }
    // Nor does an end within a comment end it.
    let comment = b"\xff\xfe\0\x06\xff\xda\xff\xd9";
    let commented = [&whole[..2], comment, &whole[2..]].concat();
    assert!(read(&commented).is_ok());
    assert!(matches!(read(&commented[..whole.len() * 2 / 3]), Err(Error::TruncatedPicture { .. })));
    let cut = &whole[..whole.len() * 2 / 3];
    assert!(matches!(read(cut), Err(Error::TruncatedPicture { .. })));
    let lenient = decode(cut, &OpenOptions { lenient: true, ..Default::default() }).unwrap();
    assert_eq!((lenient.rgb.dimensions(), lenient.warnings.as_slice()), ((200, 200), [Warning::Truncated].as_slice()));
}

#[test]
fn no_prefix_of_a_picture_panics() {
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let whole = encoded(&DynamicImage::from(corners()), format);
        for n in 0..whole.len() {
            match read(&whole[..n]) {
                Ok(picture) => assert_eq!(picture.rgb.dimensions(), (24, 16), "{format:?} {n}"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn animations_give_their_first_frame_and_say_so() {
    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    for shade in [10, 200] {
        let frame = image::RgbaImage::from_pixel(12, 12, Rgba([shade, shade, shade, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    let read_back = read(&gif).unwrap();
    assert_eq!(
        (read_back.rgb.get_pixel(3, 3).0[0], read_back.warnings.as_slice()),
        (10, [Warning::FirstFrameOnly].as_slice())
    );
    let still = read(&encoded(&DynamicImage::from(corners()), ImageFormat::Gif)).unwrap();
    assert!(still.warnings.is_empty(), "{:?}", still.warnings);
}

/// Four bars, red, green, blue and grey, written by Pillow as CMYK with Adobe's inverted inks.
#[test]
fn inks_become_colours() {
    let picture = landmarks::open(crate::fixture("cmyk.jpg")).unwrap().rgb;
    for (x, expected) in [(4, [255, 0, 0]), (12, [0, 255, 0]), (20, [0, 0, 255]), (28, [127, 127, 127])] {
        let found = picture.get_pixel(x, 8).0;
        assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{found:?} {expected:?}");
    }
}

#[test]
fn a_tiff_of_several_pages_is_refused() {
    let mut tiff = encoded(&DynamicImage::from(corners()), ImageFormat::Tiff);
    assert!(read(&tiff).is_ok());
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(tiff[directory..directory + 2].try_into().unwrap()) as usize;
    tiff[directory + 2 + 12 * entries] = 8;
    assert!(matches!(read(&tiff), Err(Error::UnknownPicture { hint, .. }) if hint.contains("pages")));
}

#[test]
fn a_colour_profile_is_ignored_and_said() {
    use image::ImageEncoder;
    let (mut bytes, picture) = (Vec::new(), corners());
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(vec![7; 200]).unwrap();
    encoder.write_image(picture.as_raw(), 24, 16, image::ExtendedColorType::Rgb8).unwrap();
    let found = read(&bytes).unwrap();
    assert_eq!((found.rgb, found.warnings), (picture, vec![Warning::ProfileIgnored]));
}
