import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/** Packages from npm, which are kept in the user's cache. Without npm their tests are skipped, but never on a build server. */
final class Npm {

    private Npm() {
    }

    /** Returns a folder in whose {@code node_modules} these packages are, each of them given as {@code name@version}. */
    static Path packages(String... packages) {
        String cache = System.getenv().getOrDefault("JBANG_CACHE_DIR", Path.of(System.getProperty("user.home"), ".cache").toString());
        Path kept = Path.of(cache, "neon-ci", String.join("_", packages).replaceAll("[/:]", "-"));
        if (!Files.exists(kept)) {
            String problem = install(kept, packages);
            String failure = "npm does not install " + List.of(packages) + ": " + problem;
            assumeTrue(problem.isEmpty() || "true".equals(System.getenv("CI")), failure);
            if (!problem.isEmpty()) {
                throw new IllegalStateException(failure);
            }
        }
        return kept;
    }

    /** Installs the packages. Returns what went wrong, or nothing. */
    private static String install(Path target, String... packages) {
        try {
            Files.createDirectories(target.getParent());
            Path place = Files.createTempDirectory(target.getParent(), "install-");
            try {
                Shell.Result installed = Shell.run(place, System.getenv(), Stream.concat(
                        Stream.of("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix", "."),
                        Stream.of(packages)).toArray(String[]::new));
                if (installed.exitCode() == 0) {
                    Files.move(place, target, StandardCopyOption.ATOMIC_MOVE);
                }
                return Files.exists(target) ? "" : installed.err().isEmpty() ? "exit code " + installed.exitCode() : installed.err();
            } finally {
                if (Files.exists(place)) {
                    Shell.delete(place);
                }
            }
        } catch (IOException | UncheckedIOException e) {
            // Another run may have been first, and what it installed serves as well.
            return Files.exists(target) ? "" : e.getMessage();
        }
    }
}
