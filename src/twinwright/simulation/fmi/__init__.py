"""Functional Mock-up Units (FMI 2.0 and 3.0): read and checked here, loaded and stepped only in child processes.

Written to the specifications: Functional Mock-up Interface for Model Exchange and Co-Simulation 2.0.4, and Functional Mock-up
Interface Specification 3.0.1, both of the Modelica Association, fmi-standard.org.
"""
