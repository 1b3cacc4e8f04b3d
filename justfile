# What one does all day. `.ci/run` is what must pass before anything is merged.

# formats, lints and the rules of the house
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --locked --test tidy --test dependencies

# every test but the long ones
test *args:
    cargo test --workspace --locked {{args}}

# a measured comparison: just bench engine --events 2000000 --users 100000
bench *args:
    cargo run --release --locked -- bench {{args}}

# the process with the synthetic campus
run *args:
    cargo run --release --locked -- serve --demo {{args}}

# makes the sources look alike
fmt:
    cargo fmt
