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

/**
 * Runs a program as a child process and gives back all it said. It never lets the caller's environment leak into
 * the child, so that a test does the same on a developer's machine as on a build server.
 */
final class Shell {

    /** What a finished child left: its exit code and everything it wrote, decoded as UTF-8. */
    record Result(int exitCode, String out, String err) {
    }

    private static final long TIMEOUT_MINUTES = 5;

    private Shell() {
    }

    /**
     * Runs {@code command} in {@code folder} with an empty stdin and waits for it.
     *
     * <p>The child's environment is {@code env} and no more, except that {@code PATH} is this process's, {@code JAVA_HOME} is the Java this
     * test runs on and the locale is UTF-8, where {@code env} does not say otherwise.
     *
     * <p>Throws IllegalStateException, with what the child had said so far, when it runs for longer than five minutes;
     * it and all its own children are dead by then. Throws UncheckedIOException when it cannot be started.
     */
    static Result run(Path folder, Map<String, String> env, String... command) {
        try {
            // Files instead of pipes: a child that leaves a process of its own behind cannot hold up the reading.
            Path out = Files.createTempFile("shell-", ".out");
            Path err = Files.createTempFile("shell-", ".err");
            try {
                Process process = start(folder, env, command, out, err);
                if (!finished(process)) {
                    throw new IllegalStateException("%s is still running after %d minutes, and was ended; it said:%n%s%n%s"
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

    /** Returns the command line of neon-ci as a process of its own, with the JVM that JBang would start it on. */
    static String[] java(String... args) {
        Stream<String> jvm = Stream.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC", "-Xmx64m", "-cp", System.getProperty("java.class.path"), "NeonCi");
        return Stream.concat(jvm, Stream.of(args)).toArray(String[]::new);
    }

    /** Returns these words as a shell's command line takes them. */
    static String quoted(String... words) {
        return Stream.of(words).map(word -> "'" + word.replace("'", "'\\''") + "'").collect(Collectors.joining(" "));
    }

    /** Returns where a program is on the PATH. Throws IllegalStateException if it is not there. */
    static Path onPath(String program) {
        return onPaths(program).findFirst().orElseThrow(() -> new IllegalStateException("there is no " + program + " on the PATH"));
    }

    static boolean isOnPath(String program) {
        return onPaths(program).findAny().isPresent();
    }

    private static Stream<Path> onPaths(String program) {
        return Stream.of(System.getenv("PATH").split(File.pathSeparator)).map(place -> Path.of(place, program).toAbsolutePath())
                .filter(Files::isExecutable);
    }

    /** Returns whether the tests are root's, for whom the modes of files do not hold. */
    static boolean isRoot() {
        return System.getProperty("user.name").equals("root");
    }

    /** Copies a file, or a folder with all that is in it, with time stamps, modes and links, over what may be there. */
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

    /** Deletes a folder with all that is in it. */
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

    private static boolean finished(Process process) {
        try {
            if (process.waitFor(TIMEOUT_MINUTES, TimeUnit.MINUTES)) {
                return true;
            }
            end(process);
            return false;
        } catch (InterruptedException e) {
            end(process);
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private static void end(Process process) {
        Stream.concat(process.descendants().toList().stream(), Stream.of(process.toHandle()))
                .forEach(ProcessHandle::destroyForcibly);
    }
}
