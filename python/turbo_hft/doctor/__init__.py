"""Is this machine, and this interface, fit for an engine? Each finding comes with its remedy."""

from turbo_hft.doctor.findings import Finding, Level
from turbo_hft.doctor.interface import interface_findings
from turbo_hft.doctor.machine import Machine, machine_findings

__all__ = ["Finding", "Level", "Machine", "interface_findings", "machine_findings"]
