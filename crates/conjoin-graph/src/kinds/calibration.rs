//! Cameras as a recipe gives them, or as a recording of drives holds them, checked.

use crate::node::NodeError;
use conjoin_nn::Camera;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

/// A pinhole camera, fixed to the vehicle, whose ego frame has x forward, y to the left and z up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// The matrix K, 3 rows of 3 numbers: from the camera's frame (x to the right, y down, z ahead) to
    /// pixels, whose centres lie at halves.
    pub intrinsics: Vec<Vec<f64>>,
    /// The matrix [R t], 3 or 4 rows of 4 numbers: from the ego frame, m, to the camera's frame.
    pub ego_to_camera: Vec<Vec<f64>>,
    /// Pixels of the whole image.
    pub width: usize,
    /// Pixels of the whole image.
    pub height: usize,
}

/// What was expected of a key, and what was found.
struct Wrong {
    key: &'static str,
    expected: String,
    found: String,
}

impl CameraConfig {
    fn camera(&self) -> Result<Camera, Wrong> {
        let intrinsics: [[f64; 3]; 3] = matrix("intrinsics", &self.intrinsics, "3 rows of 3")?;
        // A matrix in pixels has entries of hundreds; one that is singular has a row too few.
        let size = determinant(intrinsics);
        if size.abs() < 1e-9 {
            return Err(Wrong {
                key: "intrinsics",
                expected: "a matrix that can be inverted".to_owned(),
                found: format!("one with determinant {size}"),
            });
        }
        let key = "ego_to_camera";
        let rows = match self.ego_to_camera.as_slice() {
            [rows @ .., last] if rows.len() == 3 && last[..] == [0.0, 0.0, 0.0, 1.0] => rows,
            [_, _, _, last] => {
                return Err(Wrong {
                    key,
                    expected: "a fourth row of [0, 0, 0, 1]".to_owned(),
                    found: format!("{last:?}"),
                });
            }
            rows => rows,
        };
        let ego_to_camera: [[f64; 4]; 3] = matrix(key, rows, "3 or 4 rows of 4")?;
        let turn = determinant(ego_to_camera.map(|[a, b, c, _]| [a, b, c]));
        if (turn - 1.0).abs() > 0.01 {
            return Err(Wrong {
                key,
                expected: "a rotation, whose determinant is 1".to_owned(),
                found: format!("a matrix with determinant {turn}"),
            });
        }
        for (key, found) in [("width", self.width), ("height", self.height)] {
            if found == 0 {
                return Err(Wrong {
                    key,
                    expected: "at least 1".to_owned(),
                    found: "0".to_owned(),
                });
            }
        }
        Ok(Camera {
            intrinsics,
            ego_to_camera,
            width: self.width,
            height: self.height,
        })
    }
}

fn matrix<const R: usize, const C: usize>(
    key: &'static str,
    rows: &[Vec<f64>],
    shape: &str,
) -> Result<[[f64; C]; R], Wrong> {
    let wrong = |found: String| Wrong {
        key,
        expected: format!("{shape} finite numbers"),
        found,
    };
    if rows.len() != R || rows.iter().any(|row| row.len() != C) {
        let lengths: Vec<String> = rows.iter().map(|row| row.len().to_string()).collect();
        return Err(wrong(format!(
            "{} rows of {}",
            rows.len(),
            lengths.join(", ")
        )));
    }
    if let Some(number) = rows.iter().flatten().find(|number| !number.is_finite()) {
        return Err(wrong(number.to_string()));
    }
    Ok(std::array::from_fn(|r| std::array::from_fn(|c| rows[r][c])))
}

fn determinant([[a, b, c], [d, e, f], [g, h, i]]: [[f64; 3]; 3]) -> f64 {
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

/// The cameras that a recipe gives in `cameras`, in the order of the views.
pub fn given(
    cameras: &BTreeMap<String, CameraConfig>,
    views: &[String],
) -> Result<Vec<Camera>, NodeError> {
    let camera = |name: &String| {
        let camera = cameras.get(name).ok_or_else(|| {
            NodeError::Options(format!(
                "cameras: expected a camera \"{name}\" of option views, found {}",
                listed(cameras.keys())
            ))
        })?;
        camera.camera().map_err(|wrong| {
            NodeError::Options(format!(
                "cameras.{name}.{}: expected {}, found {}",
                wrong.key, wrong.expected, wrong.found
            ))
        })
    };
    views.iter().map(camera).collect()
}

/// The cameras of a recording, in the order of the views: `conjoin.cameras` and `conjoin.config.cameras`
/// of its `meta/info.json`.
pub fn recorded(recording: &Path, views: &[String]) -> Result<Vec<Camera>, NodeError> {
    let file = recording.join("meta/info.json");
    let name = file.display();
    let refused = |expected: &str, found: String| {
        NodeError::Options(format!(
            "recording: expected {expected}, found {found} in \"{name}\""
        ))
    };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let found = match error.kind() {
            std::io::ErrorKind::NotFound => "none".to_owned(),
            _ => error.to_string(),
        };
        NodeError::Options(format!(
            "recording: expected a recording with its file \"{name}\", found {found} (conjoin data drive \
             makes one)"
        ))
    })?;
    let info: Json = serde_json::from_str(&text)
        .map_err(|error| refused("a recording's description", error.to_string()))?;
    let at = |path: &str| find(&info, path).map_err(|known| refused(&format!("key {path}"), known));
    let size = |key: &str| {
        let path = format!("conjoin.config.cameras.{key}");
        let found = at(&path)?;
        let size = found.as_u64().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| refused(&format!("a number of pixels at {path}"), found.to_string()))
    };
    let camera = |view: &String| {
        let matrix = |key: &str| {
            let path = format!("conjoin.cameras.{view}.{key}");
            let found = at(&path)?;
            Vec::<Vec<f64>>::deserialize(found)
                .map_err(|error| refused(&format!("a matrix at {path}"), error.to_string()))
        };
        let config = CameraConfig {
            intrinsics: matrix("intrinsics")?,
            ego_to_camera: matrix("ego_to_camera")?,
            width: size("width")?,
            height: size("height")?,
        };
        config.camera().map_err(|wrong| {
            let expected = format!("{} at conjoin.cameras.{view}.{}", wrong.expected, wrong.key);
            refused(&expected, wrong.found)
        })
    };
    views.iter().map(camera).collect()
}

/// What stands at a path of keys; where a key is missing, the keys that stand in its place.
fn find<'a>(info: &'a Json, path: &str) -> Result<&'a Json, String> {
    path.split('.').try_fold(info, |here, key| {
        here.get(key).ok_or_else(|| match here.as_object() {
            Some(table) => listed(table.keys()),
            None => "no table".to_owned(),
        })
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(json: &str) -> CameraConfig {
        serde_json::from_str(json).unwrap()
    }

    const GOOD: &str = r#"{
        "intrinsics": [[20, 0, 16], [0, 20, 8], [0, 0, 1]],
        "ego_to_camera": [[0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, -2]],
        "width": 32, "height": 16
    }"#;

    fn refusal(change: (&str, &str)) -> String {
        let views = ["front".to_owned()];
        let text = GOOD.replacen(change.0, change.1, 1);
        let cameras = BTreeMap::from([("front".to_owned(), camera(&text))]);
        match given(&cameras, &views) {
            Err(NodeError::Options(message)) => message,
            other => panic!("expected a refusal, found {other:?}"),
        }
    }

    #[test]
    fn three_and_four_rows_are_the_same() {
        let views = ["front".to_owned()];
        let four = GOOD.replace("[1, 0, 0, -2]", "[1, 0, 0, -2], [0, 0, 0, 1]");
        let [three, four] = [GOOD, &four].map(|text| {
            given(
                &BTreeMap::from([("front".to_owned(), camera(text))]),
                &views,
            )
            .unwrap()
        });
        assert_eq!(three, four);
        assert_eq!(three[0].ego_to_camera[2], [1.0, 0.0, 0.0, -2.0]);
    }

    #[test]
    fn cameras_that_cannot_be_are_refused() {
        for (change, message) in [
            (
                ("[0, 20, 8], ", ""),
                "cameras.front.intrinsics: expected 3 rows of 3 finite numbers, found 2 rows of 3, 3",
            ),
            (
                ("[0, 20, 8]", "[20, 0, 16]"),
                "cameras.front.intrinsics: expected a matrix that can be inverted, found one with \
                 determinant 0",
            ),
            (
                ("[0, 0, -1, 1.5]", "[0, 0, -1]"),
                "cameras.front.ego_to_camera: expected 3 or 4 rows of 4 finite numbers, found 3 rows \
                 of 4, 3, 4",
            ),
            (
                ("[0, 0, -1, 1.5]", "[0, 0, 1, 1.5]"),
                "cameras.front.ego_to_camera: expected a rotation, whose determinant is 1, found a \
                 matrix with determinant -1",
            ),
            (
                ("[1, 0, 0, -2]", "[1, 0, 0, -2], [0, 0, 0, 2]"),
                "cameras.front.ego_to_camera: expected a fourth row of [0, 0, 0, 1], found [0.0, 0.0, \
                 0.0, 2.0]",
            ),
            (
                ("\"height\": 16", "\"height\": 0"),
                "cameras.front.height: expected at least 1, found 0",
            ),
        ] {
            assert_eq!(refusal(change), message);
        }
        let mut infinite = camera(GOOD);
        infinite.intrinsics[0][2] = f64::INFINITY;
        let cameras = BTreeMap::from([("front".to_owned(), infinite)]);
        let views = |name: &str| [name.to_owned()];
        let message = given(&cameras, &views("front")).unwrap_err().to_string();
        assert!(message.ends_with("3 rows of 3 finite numbers, found inf"));
        assert_eq!(
            given(&cameras, &views("rear")).unwrap_err().to_string(),
            "cameras: expected a camera \"rear\" of option views, found \"front\""
        );
    }

    #[test]
    fn recordings_are_read_and_their_mistakes_named() {
        let folder = tempfile::tempdir().unwrap();
        let views = ["front".to_owned()];
        let file = folder.path().join("meta/info.json");
        let message = |text: Option<String>| {
            if let Some(text) = text {
                std::fs::create_dir_all(folder.path().join("meta")).unwrap();
                std::fs::write(&file, text).unwrap();
            }
            match recorded(folder.path(), &views) {
                Ok(cameras) => format!("{cameras:?}"),
                Err(error) => error
                    .to_string()
                    .replace(&file.display().to_string(), "INFO"),
            }
        };
        assert_eq!(
            message(None),
            "recording: expected a recording with its file \"INFO\", found none (conjoin data drive \
             makes one)"
        );
        assert!(message(Some("{".to_owned())).starts_with("recording: expected a recording's"));
        let info = |cameras: &str, size: &str| {
            format!(r#"{{"conjoin": {{"cameras": {cameras}, "config": {{"cameras": {size}}}}}}}"#)
        };
        let matrices = GOOD.replace(r#""width": 32, "height": 16"#, r#""x": 0"#);
        let front = format!(r#"{{"front": {matrices}}}"#);
        let size = r#"{"width": 32, "height": 16}"#;
        let wanted = given(
            &BTreeMap::from([("front".to_owned(), camera(GOOD))]),
            &views,
        )
        .unwrap();
        assert_eq!(message(Some(info(&front, size))), format!("{wanted:?}"));
        assert_eq!(
            message(Some(info("{\"left\": {}}", size))),
            "recording: expected key conjoin.cameras.front.intrinsics, found \"left\" in \"INFO\""
        );
        assert_eq!(
            message(Some(info(&front, r#"{"width": 3.5, "height": 1}"#))),
            "recording: expected a number of pixels at conjoin.config.cameras.width, found 3.5 in \
             \"INFO\""
        );
        let flat = front.replace("[0, 20, 8]", "[0, 0, 0]");
        assert_eq!(
            message(Some(info(&flat, size))),
            "recording: expected a matrix that can be inverted at conjoin.cameras.front.intrinsics, \
             found one with determinant 0 in \"INFO\""
        );
    }
}
