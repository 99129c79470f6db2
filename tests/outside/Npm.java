import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/** Installs npm packages into the user's cache. If that is not possible, the tests that need them are skipped, but not in CI. */
final class Npm {

    private Npm() {
    }

    /** Returns a folder with these packages in {@code node_modules}; each is given as {@code name@version}. */
    static Path packages(String... packages) {
        String cache = System.getenv().getOrDefault("JBANG_CACHE_DIR", Path.of(System.getProperty("user.home"), ".cache").toString());
        Path folder = Path.of(cache, "neon-ci", String.join("_", packages).replaceAll("[/:]", "-"));
        String error = Files.exists(folder) ? "" : install(folder, packages);
        assumeTrue(error.isEmpty() || "true".equals(System.getenv("CI")), error);
        if (!error.isEmpty()) {
            throw new IllegalStateException(error);
        }
        return folder;
    }

    /** Returns an error message, or an empty one. */
    private static String install(Path target, String... packages) {
        try {
            Path temporary = Files.createTempDirectory(Files.createDirectories(target.getParent()), "install-");
            Shell.Result installed = Shell.run(temporary, System.getenv(), Stream.concat(
                    Stream.of("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix", "."),
                    Stream.of(packages)).toArray(String[]::new));
            if (installed.exitCode() != 0) {
                Shell.delete(temporary);
                return "npm could not install " + List.of(packages) + ": " + installed.err();
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            return "";
        } catch (IOException | UncheckedIOException e) {
            // Another run may have installed them at the same time.
            return Files.exists(target) ? "" : e.toString();
        }
    }
}
