///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//RUNTIME_OPTIONS -XX:+UseSerialGC
//SOURCES ../neon-ci.java
//SOURCES */*Test.java
//DEPS org.junit.jupiter:junit-jupiter:6.1.3
//DEPS org.junit.platform:junit-platform-launcher:6.1.3

import java.io.File;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.discovery.ClassNameFilter;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs all tests, those that are {@code fast}, or the classes whose names match the arguments. Prints a line of counts, and exits with 1
 * if a test failed or none ran.
 */
class run {

    public static void main(String... args) {
        boolean isFast = List.of(args).contains("fast");
        List<String> classes = Arrays.stream(args).filter(argument -> !argument.equals("fast")).toList();
        // JUnit cannot select the unnamed package, so it gets the jar that JBang has built.
        Path jar = Path.of(System.getProperty("java.class.path").split(File.pathSeparator)[0]);
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request()
                .selectors(DiscoverySelectors.selectClasspathRoots(Set.of(jar)))
                .filters(ClassNameFilter.includeClassNamePatterns(classes.isEmpty() ? ".*Test" : String.join("|", classes)))
                // The tests wait more than they compute, and two classes at the same time suit two cores.
                .configurationParameters(Map.of("junit.jupiter.execution.parallel.enabled", "true",
                        "junit.jupiter.execution.parallel.mode.classes.default", "concurrent",
                        "junit.jupiter.execution.parallel.config.executor-service", "WORKER_THREAD_POOL",
                        "junit.jupiter.execution.parallel.config.strategy", "fixed",
                        "junit.jupiter.execution.parallel.config.fixed.parallelism", "2",
                        "junit.jupiter.execution.parallel.config.fixed.max-pool-size", "2"));
        if (isFast) {
            System.err.println("Skipping the slow tests.");
            request.filters(TagFilter.excludeTags("slow"));
        }
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LauncherFactory.create().execute(request.build(), listener, new Progress());
        TestExecutionSummary summary = listener.getSummary();
        summary.printFailuresTo(new PrintWriter(System.err, true), 20);
        System.out.printf("%d passed, %d failed, %d skipped%n", summary.getTestsSucceededCount(),
                summary.getTotalFailureCount(), summary.getTestsSkippedCount() + summary.getTestsAbortedCount());
        System.exit(summary.getTotalFailureCount() == 0 && summary.getTestsSucceededCount() > 0 ? 0 : 1);
    }

    /** Prints each class with its time, each test that was skipped with the reason, and each failure. */
    private static final class Progress implements TestExecutionListener {

        private final Map<String, Long> starts = new ConcurrentHashMap<>();

        @Override
        public void executionStarted(TestIdentifier test) {
            starts.put(test.getUniqueId(), System.nanoTime());
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            System.err.println("skipped " + test.getDisplayName() + ": " + reason);
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            TestSource source = test.getSource().orElse(null);
            if (source instanceof ClassSource) {
                System.err.printf("%s, %.1f s%n", test.getDisplayName(), (System.nanoTime() - starts.get(test.getUniqueId())) / 1e9);
            }
            if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
                executionSkipped(test, result.getThrowable().map(Throwable::getMessage).orElse(""));
            }
            if (result.getStatus() == TestExecutionResult.Status.FAILED) {
                System.err.println("FAILED " + (source instanceof MethodSource method
                        ? method.getClassName() + "." + method.getMethodName() + ": " : "") + test.getDisplayName());
            }
        }
    }
}
