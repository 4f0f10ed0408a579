//! From the text of `--device` to a device.

use crate::error::CliError;
use burn::tensor::Device;

/// Devices that this build can compute on.
const KNOWN: &[&str] = &[
    "cpu",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// Parses `cpu`, or `cuda`, `cuda:1` and `wgpu` in builds with those features.
pub(crate) fn parse(text: &str) -> Result<Device, CliError> {
    let (name, index) = match text.split_once(':') {
        Some((name, index)) => (name, index.parse::<usize>().ok()),
        None => (text, Some(0)),
    };
    match (name, index) {
        ("cpu", Some(0)) => Ok(Device::flex()),
        #[cfg(feature = "cuda")]
        ("cuda", Some(index)) => Ok(Device::cuda(index)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(0)) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        _ => Err(CliError::input(format!(
            "--device {text}: this build knows {}; others need a build with their feature, such as \
             --features cuda",
            KNOWN.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_devices_are_the_users_mistake() {
        assert!(parse("cpu").is_ok());
        for text in ["gpu", "cpu:1", "cpu:x", ""] {
            assert!(matches!(parse(text), Err(CliError::Input(_))), "{text}");
        }
    }
}
