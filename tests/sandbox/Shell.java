import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Runs programs as child processes with an environment of their own, so that a test does the same on every machine. */
final class Shell {

    record Result(int exitCode, String out, String err) {
    }

    private static final long TIMEOUT_MINUTES = 5;

    private Shell() {
    }

    /**
     * Runs a command in a folder with an empty stdin, and waits for it. Unless {@code env} sets them, {@code PATH} and {@code JAVA_HOME}
     * are those of the tests, and the locale is UTF-8.
     *
     * <p>Throws IllegalStateException after five minutes, when the command and its children have been killed.
     */
    static Result run(Path folder, Map<String, String> env, String... command) {
        try {
            // Files instead of pipes, because a process that the command leaves behind would keep a pipe open.
            Path out = Files.createTempFile("shell-", ".out");
            Path err = Files.createTempFile("shell-", ".err");
            try {
                Process process = start(folder, env, command, out, err);
                if (!hasFinished(process)) {
                    throw new IllegalStateException("%s ran for %d minutes; its output:%n%s%n%s"
                            .formatted(List.of(command), TIMEOUT_MINUTES, Files.readString(out), Files.readString(err)));
                }
                return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
            } finally {
                Files.delete(out);
                Files.delete(err);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the command that runs neon-ci in a JVM of its own, started as JBang starts it. */
    static String[] java(String... args) {
        Stream<String> jvm = Stream.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC", "-Xmx64m", "-cp", System.getProperty("java.class.path"), "NeonCi");
        return Stream.concat(jvm, Stream.of(args)).toArray(String[]::new);
    }

    /** Quotes words for a shell. */
    static String quoted(String... words) {
        return Stream.of(words).map(word -> "'" + word.replace("'", "'\\''") + "'").collect(Collectors.joining(" "));
    }

    /** Finds a program on the PATH. Throws IllegalStateException if there is none. */
    static Path onPath(String program) {
        return onPaths(program).findFirst().orElseThrow(() -> new IllegalStateException(program + " is not on the PATH"));
    }

    static boolean isOnPath(String program) {
        return onPaths(program).findAny().isPresent();
    }

    private static Stream<Path> onPaths(String program) {
        return Stream.of(System.getenv("PATH").split(File.pathSeparator)).map(place -> Path.of(place, program).toAbsolutePath())
                .filter(Files::isExecutable);
    }

    /** Returns whether the tests run as root, whom file modes do not restrict. */
    static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    /** Copies a file or a folder with its timestamps, modes and links, and overwrites existing files. */
    static void copy(Path from, Path to) {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Path target = to.resolve(from.relativize(file).toString());
                Files.createDirectories(target.getParent());
                if (!Files.isDirectory(target)) {
                    Files.copy(file, target, StandardCopyOption.COPY_ATTRIBUTES, StandardCopyOption.REPLACE_EXISTING,
                            LinkOption.NOFOLLOW_LINKS);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Deletes a folder with its content. */
    static void delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Process start(Path folder, Map<String, String> env, String[] command, Path out, Path err)
            throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectInput(new File("/dev/null"))
                .redirectOutput(out.toFile())
                .redirectError(err.toFile());
        Map<String, String> environment = builder.environment();
        environment.keySet().retainAll(List.of("PATH"));
        environment.put("JAVA_HOME", System.getProperty("java.home"));
        environment.put("LC_ALL", "C.UTF-8");
        environment.putAll(env);
        return builder.start();
    }

    private static boolean hasFinished(Process process) {
        try {
            if (process.waitFor(TIMEOUT_MINUTES, TimeUnit.MINUTES)) {
                return true;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        return false;
    }
}
