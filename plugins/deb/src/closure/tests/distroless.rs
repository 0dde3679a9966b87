//! What users of other resolvers of Debian packages reported (bazel-contrib/rules_distroless, lukasoyen/bazel_linux_packages,
//! open-edge-platform/image-composer-tool): each report is a test here.

use super::*;

#[test]
fn rules_distroless_146_every_provided_name_versioned_or_not_is_found_and_alternatives_go_left_to_right()
 {
    let world = world(
        "bash 5; Depends: awk, missing | left | right
         mawk 1; Provides: other, awk, third (= 1.0); Priority: required
         gawk 1; Provides: awk
         left 1
         right 1
         strict 1; Depends: third (>= 1)",
        "",
    );
    assert_eq!(world.adds("bash"), "bash=5 left=1 mawk=1");
    assert_eq!(world.adds("strict"), "mawk=1 strict=1");
}

#[test]
fn rules_distroless_203_several_versions_of_a_provider_are_one_candidate() {
    let world = world(
        "a 1; Depends: libnettle8\nlibnettle8t64 3.9-1; Provides: libnettle8 (= 3.9-1)",
        "",
    )
    .suite(
        "bookworm-security",
        "libnettle8t64 3.9-2; Provides: libnettle8 (= 3.9-2)",
    );
    assert_eq!(world.adds("a"), "a=1 libnettle8t64=3.9-2");
    assert_eq!(world.adds("libnettle8"), "libnettle8t64=3.9-2");
}

#[test]
fn rules_distroless_212_a_request_means_the_real_package_before_who_provides_its_name() {
    let world = world("foo-plus 9; Provides: foo\nfoo 1", "");
    assert_eq!(world.adds("foo"), "foo=1");
    assert_eq!(world.adds("foo-plus"), "foo-plus=9");
}

#[test]
fn rules_distroless_264_what_cannot_be_resolved_is_reported_by_its_name() {
    let world = world("a 1; Depends: b\nb 1; Depends: gone (>= 2)\nc 1", "");
    let told = world.refusal("a c");
    assert!(
        ["a", "b", "gone"].iter().all(|name| told.contains(name)),
        "{told}"
    );
    let told = world.refusal("nowhere");
    assert!(told.contains("nowhere"), "{told}");
}

#[test]
fn rules_distroless_265_a_dependency_means_the_real_package_before_who_provides_its_name() {
    let world = world(
        "ffmpeg 7:7.1; Depends: libavcodec61 (>= 7:7.1)
         libavcodec-extra61 7:7.1; Provides: libavcodec61 (= 7:7.1); Conflicts: libavcodec61; Priority: required
         libavcodec61 7:7.1",
        "",
    );
    assert_eq!(world.adds("ffmpeg"), "ffmpeg=7:7.1 libavcodec61=7:7.1");
    assert_eq!(
        world.adds("ffmpeg libavcodec-extra61"),
        "ffmpeg=7:7.1 libavcodec-extra61=7:7.1"
    );
}

#[test]
fn rules_distroless_272_equal_packages_of_two_indexes_do_not_hide_each_other() {
    let one = world("fonts 2.37-8; Architecture: all", "").index();
    let two = world(
        "fonts 2.37-8; Architecture: all\nother 1; Depends: fonts",
        "",
    )
    .index();
    let indexes = [
        Index::open(one.as_slice()).unwrap(),
        Index::open(two.as_slice()).unwrap(),
    ];
    for indexes in [&indexes[..], &indexes[1..]] {
        let plan = resolve(&Input {
            architectures: &["amd64".to_owned()],
            indexes,
            status: &Status::default(),
            preferences: &Preferences::default(),
            requests: &[Request::parse("other").unwrap()],
            extras: &[],
            locked: &[],
            policy: &Policy::default(),
            stop: None,
        })
        .unwrap();
        let names: Vec<&str> = plan
            .packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(names, ["other", "fonts"]);
    }
}

#[test]
fn rules_distroless_274_all_provided_names_follow_the_newer_version() {
    let provides = "Provides: httpd, httpd-cgi, nginx-abi-1.22.1-7";
    let world = world(
        &format!("nginx 1.22.1-9+deb12u9; {provides}\nlibnginx-mod-http-dav-ext 1; Depends: nginx-abi-1.22.1-7"),
        "",
    )
    .suite("bookworm-security", &format!("nginx 1.22.1-9+deb12u10; {provides}"));
    assert_eq!(
        world.adds("nginx libnginx-mod-http-dav-ext"),
        "libnginx-mod-http-dav-ext=1 nginx=1.22.1-9+deb12u10"
    );
}

#[test]
fn rules_distroless_251_252_one_version_for_each_name_and_architecture_whatever_asks_for_it() {
    let world = world("a 1; Depends: x (>= 1)\nb 1; Depends: x (>= 2)\nx 1", "")
        .suite("bookworm-security", "x 2");
    assert_eq!(world.adds("a b"), "a=1 b=1 x=2");
}

#[test]
fn bazel_linux_packages_130_of_several_providers_the_one_that_is_asked_for_is_taken() {
    let world = world(
        "libboost-dev 1; Depends: libstdc++-dev
         libstdc++-9-dev 9; Provides: libstdc++-dev
         libstdc++-10-dev 10; Provides: libstdc++-dev
         libstdc++-11-dev 11; Provides: libstdc++-dev",
        "",
    );
    assert_eq!(
        world.adds("libboost-dev libstdc++-10-dev"),
        "libboost-dev=1 libstdc++-10-dev=10"
    );
}

#[test]
fn image_composer_903_a_version_that_is_not_chosen_meets_no_alternative() {
    let world = world(
        "a 1; Depends: foo (= 1) | bar, foo (= 2) | baz\nfoo 1\nfoo 2\nbar 1\nbaz 1",
        "foo 1",
    );
    assert_eq!(world.adds("a"), "a=1 baz=1");
}

#[test]
fn recommended_packages_come_along_when_asked_for_and_never_fail_a_request() {
    let world = world(
        "a 1; Recommends: b, gone, c\nb 1; Recommends: d\nc 1; Conflicts: a\nd 1",
        "",
    );
    assert_eq!(world.adds("a"), "a=1");
    let world = world.policy(|policy| policy.recommends = Recommends::All);
    assert_eq!(world.adds("a"), "a=1 b=1 d=1");
    let world = world.policy(|policy| policy.recommends = Recommends::Of(vec!["a".into()]));
    assert_eq!(world.adds("a"), "a=1 b=1");
}
